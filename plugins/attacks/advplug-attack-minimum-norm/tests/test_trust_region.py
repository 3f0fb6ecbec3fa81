"""The trust-region attack on linear models, where the least distance is known, and beside DeepFool on digits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from advplug_attack_minimum_norm._trust_region import State, TrustRegion

from advplug import ThreatModel, run
from advplug.attack import Task
from advplug.errors import InvalidInput
from advplug.numerics import raw
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model
from advplug.threat import Norm

NORMS: tuple[Norm, ...] = ("l2", "linf")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize(("classes", "targeted"), [(2, False), (2, True)])
def test_the_least_distance(norm: Norm, bounds: tuple[float, float], classes: int, targeted: bool) -> None:
    ratio = distance_over_optimum(TrustRegion(), norm, bounds=bounds, classes=classes, targeted=targeted)
    assert ratio.mean() <= 1.06
    assert ratio.max() <= 1.2


@pytest.mark.parametrize(("norm", "peer"), [("l2", "L2DeepFoolAttack"), ("linf", "LinfDeepFoolAttack")])
def test_closer_than_foolbox_on_digits(norm: Norm, peer: str) -> None:
    """Short steps, where DeepFool takes a few long ones: at fewer gradients, too."""
    foolbox = pytest.importorskip("foolbox")
    net, x, y = shipped_digits("mnist-relu")
    points, _, success = getattr(foolbox.attacks, peer)()(foolbox.PyTorchModel(net, (0, 1)), x, y, epsilons=None)
    theirs = (points - x).flatten(1).norm(p=2 if norm == "l2" else torch.inf, dim=1)
    ours = run(TrustRegion(), net, x, y, ThreatModel(norm))
    assert ours.success.all()
    assert success.all()
    assert ours.distance.mean() <= 0.98 * theirs.mean()
    assert ours.backwards.double().mean() <= 100


@pytest.mark.parametrize("norm", NORMS)
def test_no_step_is_longer_than_the_radius(norm: Norm) -> None:
    points = []

    class Watched(TrustRegion):
        def step(self, task: Task, state: State) -> State:
            points.append(raw(state.x))
            return super().step(task, state)

    net, x, y = shipped_digits("mnist-relu", 1)
    run(Watched(radius=0.002, largest_radius=0.006), net, x, y, ThreatModel(norm))
    order = 2 if norm == "l2" else torch.inf
    lengths = [(after - before).flatten().norm(p=order).item() for before, after in pairwise(points)]
    assert lengths[0] <= 1.02 * (0.002 + 1e-4) + 1e-6
    assert 0.005 < max(lengths) <= 1.02 * (0.006 + 1e-4) + 1e-6


def test_the_class_is_that_of_the_nearest_boundary() -> None:
    """Not the likeliest: its boundary is ten times as far."""
    model = linear_model(3, (4,))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 100.0, 0, 0]]))  # type: ignore[index]
        model[1].bias.copy_(torch.tensor([0.0, -0.9, -53.0]))  # type: ignore[index]
    x, y = torch.full((1, 4), 0.5, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    near = run(TrustRegion(), model, x, y, ThreatModel("l2"))
    assert model(near.adversarials).argmax(1) == 2
    assert near.distance < 0.04
    far = run(TrustRegion(classes=0), model, x, y, ThreatModel("l2"))
    assert far.distance > 0.3


@pytest.mark.parametrize(
    "settings",
    [{"steps": 0}, {"radius": 0.0}, {"growth": 0.9}, {"classes": -1}, {"overshoot": -1.0}, {"bad": 0.95}],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        TrustRegion(**settings)
