"""What holds for every sparse attack: the optimum of linear models, pixels, bounds, masks, budgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from advplug import ThreatModel, load, run
from advplug.attack import Attack
from advplug.errors import InvalidInput
from advplug.testing.linear import distance_over_optimum, linear_model

SHORT: dict[str, dict[str, Any]] = {
    "sigma-zero": {"steps": 60},
    "sparse-rs": {"queries": 200},
    "jsma": {"pairs": False},
    "vfga": {},
    "sparsefool": {},
    "one-pixel": {"population": 40, "generations": 40},
}
BOUNDS = [(0.0, 1.0), (-1.0, 3.0)]


def short(name: str, **options: Any) -> Attack:
    attack: Attack = load(f"attack:{name}")(**SHORT[name], **options)
    return attack


def colours(count: int = 6) -> tuple[torch.nn.Module, Tensor, Tensor]:
    """A linear model of images (3, 4, 4), and inputs with the labels that it gives them."""
    model = linear_model(3, (3, 4, 4), seed=3)
    x = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return model, x, model(x).argmax(1)


def changed_pixels(x: Tensor, found: Tensor) -> Tensor:
    return (found != x).any(1).flatten(1).sum(1)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", SHORT)
def test_two_classes_of_a_linear_model(name: str, targeted: bool, bounds: tuple[float, float]) -> None:
    ratio = distance_over_optimum(short(name), "l0", bounds=bounds, targeted=targeted)
    assert ratio.isfinite().all()
    assert ratio.median() == 1
    assert ratio.max() <= 2


@pytest.mark.parametrize("name", SHORT)
def test_pixels_are_counted_with_all_their_channels(name: str) -> None:
    model, x, y = colours()
    values, pixels = (run(short(name, pixels=each), model, x, y, ThreatModel("l0")) for each in (False, True))
    few, many = changed_pixels(x, pixels.adversarials), changed_pixels(x, values.adversarials)
    both = values.success & pixels.success
    assert both.sum() >= 4
    assert few[both].sum() <= 1.25 * many[both].sum()
    assert (few <= pixels.distance)[both].all(), "the distance is in values, as the threat model has it"


@pytest.mark.parametrize("name", SHORT)
def test_pixels_need_channels(name: str) -> None:
    model = linear_model(2, (6,), seed=0)
    x = torch.rand(2, 6, dtype=torch.float64)
    with pytest.raises(InvalidInput, match="pixels needs inputs with channels"):
        run(short(name, pixels=True), model, x, model(x).argmax(1), ThreatModel("l0", 2))


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("name", SHORT)
def test_a_mask_holds_what_is_outside(name: str, pixels: bool) -> None:
    model, x, y = colours()
    mask = np.zeros((3, 4, 4), dtype=bool)
    mask[:, :3, 1:] = True
    result = run(short(name, pixels=pixels), model, x, y, ThreatModel("l0", mask=mask))
    outside = ~torch.from_numpy(mask)
    assert result.success.any()
    assert torch.equal(result.adversarials[:, outside], x[:, outside])


@pytest.mark.parametrize("name", SHORT)
def test_within_a_budget(name: str) -> None:
    model, x, y = colours()
    least = run(short(name), model, x, y, ThreatModel("l0")).distance
    budget = least.nanmedian().item()
    within = run(short(name), model, x, y, ThreatModel("l0", budget))
    assert (within.distance[within.success] <= budget).all()
    assert within.success[least < budget].all()
