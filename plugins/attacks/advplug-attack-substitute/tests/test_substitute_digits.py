"""On real digits: a substitute from 100 of them fools a network that was trained on 50,000."""

from __future__ import annotations

from typing import Any

import pytest
from advplug_attack_substitute import Substitute

from advplug import Images, ThreatModel, run
from advplug.testing.digits import shipped_digits

FAST: dict[str, Any] = {"num_images": 100, "augmentations": 2, "epochs": 20, "learning_rate": 3e-3}


def test_the_fast_gradient_method_transfers() -> None:
    net, x, y = shipped_digits("mnist-relu", 150)
    result = run(
        Substitute(**FAST), net, x[100:], y[100:], ThreatModel("linf", 0.3), auxiliary=Images(x[:100], y[:100])
    )
    assert result.success.float().mean() > 0.3


def test_a_minimum_norm_attack_transfers_with_confidence() -> None:
    pytest.importorskip("advplug_attack_cw")
    net, x, y = shipped_digits("mnist-relu", 130)
    transferred = []
    for confidence in (0.0, 20.0):
        settings = {"confidence": confidence, "search_steps": 4, "steps": 30, "step_size": 0.1}
        attack = Substitute(**FAST, attack="cw", settings=settings)
        result = run(attack, net, x[100:], y[100:], ThreatModel("l2"), auxiliary=Images(x[:100], y[:100]))
        transferred.append(int(result.success.sum()))
    assert transferred[1] >= 3 * max(transferred[0], 1)
