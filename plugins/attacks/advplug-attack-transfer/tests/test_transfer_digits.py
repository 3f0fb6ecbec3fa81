"""On real digits, between networks that were trained apart."""

from __future__ import annotations

import pytest
from advplug_attack_transfer import Transfer

from advplug import Images, ThreatModel, run
from advplug.testing.digits import shipped_digits


def test_confidence_makes_examples_transfer() -> None:
    """At a confidence of 10 at least three times as many as at 0, as a preset of another plugin."""
    pytest.importorskip("advplug_attack_cw")
    pytest.importorskip("advplug_defense_adversarial_training")
    net, x, y = shipped_digits("mnist-relu", 30)
    transferred = []
    for confidence in (0.0, 10.0):
        settings = {"confidence": confidence, "search_steps": 5, "steps": 30, "step_size": 0.1}
        attack = Transfer(models="adversarial-training:mnist", attack="cw", settings=settings)
        transferred.append(int(run(attack, net, x, y, ThreatModel("l2")).success.sum()))
    assert transferred[1] >= 3 * max(transferred[0], 1)


def test_members_trained_on_a_few_hundred_digits_fool_another_network() -> None:
    net, x, y = shipped_digits("mnist-relu", 350)
    own = Images(x[:300], y[:300])
    result = run(Transfer(members=2, updates=60), net, x[300:], y[300:], ThreatModel("linf", 0.3), auxiliary=own)
    assert result.success.float().mean() > 0.3
