"""Pictures of CIFAR-10 that come with Foolbox, beside its L0 attack."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import ThreatModel, load, run

foolbox = pytest.importorskip("foolbox")
pytest.importorskip("advplug_defense_adversarial_training")

STEPS = 100


@cache
def pictures() -> tuple[nn.Module, Tensor, Tensor]:
    net = load("defense:adversarial-training")().build("cifar10").eval().requires_grad_(False)
    model = foolbox.PyTorchModel(net, bounds=(0, 1))
    x, y = foolbox.samples(model, dataset="cifar10", batchsize=12)
    right = net(x).argmax(1) == y
    return net, x[right], y[right]


@cache
def their_median() -> float:
    net, x, y = pictures()
    if not hasattr(foolbox.attacks, "L0FMNAttack"):
        return 6.0  # of Foolbox 3.3.4
    peer = foolbox.attacks.L0FMNAttack(steps=STEPS)
    points, _, found = peer(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=None)
    return torch.where(found, (points != x).flatten(1).sum(1).double(), torch.inf).quantile(0.5).item()


@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        ("sigma-zero", {"steps": STEPS}, 1.0),
        ("vfga", {}, 1.0),
        ("sparsefool", {}, 1.5),
        ("jsma", {}, 1.5),
    ],
)
def test_medians_beside_foolbox(name: str, options: dict[str, Any], share: float) -> None:
    net, x, y = pictures()
    result = run(load(f"attack:{name}")(**options), net, x, y, ThreatModel("l0"))
    assert result.success.all()
    assert result.distance.quantile(0.5).item() <= share * their_median()
    assert result.backwards.double().mean() <= 9 * STEPS


@pytest.mark.parametrize("name", ["sigma-zero", "vfga"])
def test_fewer_pixels_where_pixels_are_counted(name: str) -> None:
    net, x, y = pictures()
    options = {"steps": STEPS} if name == "sigma-zero" else {}
    by_value, by_pixel = (
        (run(load(f"attack:{name}")(pixels=pixels, **options), net, x, y, ThreatModel("l0")).adversarials != x)
        .any(1)
        .flatten(1)
        .sum(1)
        .double()
        for pixels in (False, True)
    )
    assert by_pixel.quantile(0.5) <= by_value.quantile(0.5)
