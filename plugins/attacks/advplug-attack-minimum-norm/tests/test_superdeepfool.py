"""SuperDeepFool where the least distance is known, and beside DeepFool and Foolbox on digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_minimum_norm._superdeepfool import SuperDeepFool
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.testing import conformance
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum

test_conformance = conformance("attack:superdeepfool")

L2 = ThreatModel("l2")


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize(("classes", "targeted"), [(2, False), (5, False), (2, True)])
def test_the_least_distance_on_linear_models(bounds: tuple[float, float], classes: int, targeted: bool) -> None:
    ratio = distance_over_optimum(SuperDeepFool(), "l2", bounds=bounds, classes=classes, targeted=targeted)
    assert ratio.mean() <= 1.05


class Ellipsoid(nn.Module):
    """Class 0 inside an ellipsoid around the grey image, with axes 1 and 0.25."""

    def forward(self, x: Tensor) -> Tensor:
        radius = ((x - 0.5) / torch.tensor([1.0, 0.25, 1.0, 0.25])).square().sum(1).sqrt()
        return torch.stack((0.4 - radius, radius - 0.4), 1)


def test_it_ends_at_the_foot_of_the_perpendicular() -> None:
    """The normal turns along the way, so DeepFool ends elsewhere."""
    x = torch.tensor([[0.7, 0.52, 0.5, 0.5], [0.6, 0.53, 0.45, 0.47]])
    y = torch.zeros(2, dtype=torch.int64)
    model = Ellipsoid()
    assert (model(x).argmax(1) == 0).all()
    ours = run(SuperDeepFool(), model, x, y, L2)
    assert ours.success.all()
    step = (ours.adversarials - x).double()
    point = ours.adversarials.clone().requires_grad_()
    (normal,) = torch.autograd.grad((model(point)[:, 1] - model(point)[:, 0]).sum(), point)
    assert torch.nn.functional.cosine_similarity(step, normal.double(), dim=1).min() > 0.99


def test_closer_than_deepfool_on_digits() -> None:
    foolbox = pytest.importorskip("foolbox")
    net, x, y = shipped_digits("mnist-relu")
    points, _, _ = foolbox.attacks.L2DeepFoolAttack()(foolbox.PyTorchModel(net, (0, 1)), x, y, epsilons=None)
    theirs = (points - x).flatten(1).norm(dim=1)
    ours = run(SuperDeepFool(), net, x, y, L2)
    assert ours.success.all()
    assert ours.distance.mean() <= 0.95 * theirs.mean()


def test_one_boundary_and_a_budget() -> None:
    net, x, y = shipped_digits("mnist-relu", 12)
    assert run(SuperDeepFool(), net, x, y, L2, loss=Margin()).success.all()
    within = run(SuperDeepFool(), net, x, y, ThreatModel("l2", 1.5))
    assert 0 < within.success.double().mean() < 1
    assert (within.distance[within.success] <= 1.5 * (1 + 1e-6)).all()


@pytest.mark.parametrize("settings", [{"steps": 0}, {"overshoot": -0.1}], ids=str)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        SuperDeepFool(**settings)
