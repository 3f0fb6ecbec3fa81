"""sigma-zero: the threshold, and trained networks beside Foolbox's L0 attack."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_sparse import SigmaZero
from advplug_attack_sparse._sigma_zero import falling

from advplug import ThreatModel, run
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import linear_model
from advplug.testing.models import Watched

STEPS = 200
FOOLBOX = {"mnist": 8.5, "mnist-linf": 24.0}
"""Median number of values that Foolbox 3.3.4's L0FMNAttack changes, for where it is not installed."""


@pytest.mark.parametrize("preset", FOOLBOX)
def test_nearer_than_foolbox_at_as_many_gradients(preset: str) -> None:
    net, x, y = shipped_digits(preset, 20, "adversarial-training")
    ours = run(SigmaZero(steps=STEPS), net, x, y, ThreatModel("l0"))
    theirs = FOOLBOX[preset]
    try:
        import foolbox
    except ImportError:
        pass
    else:
        if hasattr(foolbox.attacks, "L0FMNAttack"):  # since 3.3.2
            peer = foolbox.attacks.L0FMNAttack(steps=STEPS)
            points, _, found = peer(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=None)
            far = torch.where(found, (points != x).flatten(1).sum(1).double(), torch.inf)
            theirs = far.quantile(0.5).item()
    assert ours.success.all()
    assert ours.distance.median() <= theirs


def test_small_changes_are_undone() -> None:
    """Every point that is evaluated differs from the input by the threshold at least, or not at all."""
    watched = Watched(SigmaZero(steps=20, pace=1e-6))
    model = linear_model(3, (20,), seed=1)
    x = torch.rand(4, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    run(watched, model, x, model(x).argmax(1), ThreatModel("l0"))
    change = torch.stack([(point - x).abs() for point, _, _ in watched.points if len(point) == len(x)])
    assert (change > 0).any()
    assert change[change > 0].min() >= 0.3 - 1e-4


def test_the_step_falls_along_a_cosine() -> None:
    assert [falling(share, 0.1) for share in (0, 0.5, 1)] == pytest.approx([1, 0.55, 0.1])


def test_adam_comes_nearer_than_the_bare_gradient() -> None:
    net, x, y = shipped_digits("mnist-linf", 20, "adversarial-training")
    adam, bare = (run(SigmaZero(steps=STEPS, adam=each), net, x, y, ThreatModel("l0")) for each in (True, False))
    assert adam.success.sum() >= bare.success.sum()
    assert adam.distance.nanmedian() < bare.distance.nanmedian()
