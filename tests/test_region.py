"""Masks, and bounds and budgets for each value: what an attacker may change, and what the best attack then reaches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from every_attack import every_attack, short
from torch import Tensor

from advplug import ThreatModel, load, run
from advplug.data import Images
from advplug.engine.problem import make_problem
from advplug.errors import InvalidInput
from advplug.testing.linear import largest_change, linear_model
from advplug.threat import Norm

SHAPE = (1, 6, 6)
MODEL = linear_model(2, SHAPE, dtype=torch.float32)
INPUTS = torch.rand(24, *SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = MODEL(INPUTS).argmax(1)
UPPER_HALF = np.arange(36).reshape(SHAPE) < 18
BUDGETS: dict[str, float] = {"linf": 0.15, "l2": 0.8, "l1": 3.0, "l0": 2}


def attacked(name: str, threat: ThreatModel, **options: Any) -> Any:
    attack = short(name)
    own = Images(INPUTS, LABELS)
    return run(attack, MODEL, INPUTS, LABELS, threat, auxiliary=own if attack.needs_auxiliary else None, **options)


@pytest.mark.parametrize(("name", "norm"), every_attack(), ids=str)
def test_every_attack_changes_nothing_outside_a_mask(name: str, norm: Norm) -> None:
    result = attacked(name, ThreatModel(norm, BUDGETS[norm], mask=UPPER_HALF))
    assert bool(result.success.any())
    changed = (result.adversarials != INPUTS).any(0).numpy()
    assert not changed[~UPPER_HALF].any()
    assert bool((MODEL(result.adversarials[result.success]).argmax(1) != LABELS[result.success]).all())


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_pgd_reaches_the_optimum_within_a_mask(norm: Norm) -> None:
    """On a linear model the most that a budget moves the margin inside the mask is known in closed form."""
    scores = MODEL(INPUTS).double()
    weight = MODEL[1].weight.detach().double()  # type: ignore[index]
    towards = (weight[LABELS] - weight[1 - LABELS]) * torch.from_numpy(UPPER_HALF).flatten()
    margin = (scores.gather(1, LABELS[:, None]) - scores.gather(1, 1 - LABELS[:, None])).squeeze(1)
    reach = largest_change(towards, INPUTS.flatten(1).double(), norm, BUDGETS[norm], (0.0, 1.0))
    result = attacked("apgd" if norm == "l1" else "pgd", ThreatModel(norm, BUDGETS[norm], mask=UPPER_HALF))
    clear = (reach - margin).abs() > 0.05 * margin.abs().mean()
    assert torch.equal(result.success[clear], (reach > margin)[clear])
    assert 0 < int(result.success.sum()) < len(INPUTS)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_masked_search_is_the_search_on_the_values_inside(norm: Norm) -> None:
    """Zeros outside: the model of the upper half alone asks and answers the same."""
    inside = torch.from_numpy(UPPER_HALF)
    x = torch.where(inside, INPUTS, 0.0)

    class Half(torch.nn.Module):
        def forward(self, half: Tensor) -> Tensor:
            scores: Tensor = MODEL(torch.cat((half, torch.zeros_like(half)), 2))
            return scores

    labels = MODEL(x).argmax(1)
    attack = load("attack:pgd")(random_start=False)
    threat = ThreatModel(norm, BUDGETS[norm])
    masked = run(attack, MODEL, x, labels, replace(threat, mask=UPPER_HALF))
    half = run(attack, Half(), x[:, :, :3], labels, threat)
    assert torch.equal(masked.success, half.success)
    assert torch.allclose(masked.adversarials[:, :, :3], half.adversarials, atol=1e-5)


def test_a_mask_for_each_sample() -> None:
    masks = torch.rand(INPUTS.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    result = attacked("apgd", ThreatModel("l2", 0.8, mask=masks), restarts=2, batch_size=5)
    assert bool(result.success.any())
    assert not bool((result.adversarials != INPUTS)[~masks].any())


def test_a_mask_of_float64_inputs_leaves_their_last_digit() -> None:
    x = INPUTS.double() + 1e-12
    result = run(load("attack:pgd")(), MODEL, x, LABELS, ThreatModel("linf", 0.15, mask=UPPER_HALF))
    assert bool(result.success.any())
    assert torch.equal(result.adversarials[:, :, 3:], x[:, :, 3:])


@pytest.mark.parametrize("name", ["pgd", "apgd", "square", "fgm", "fmn", "fab"])
def test_budgets_for_each_value(name: str) -> None:
    budgets = np.where(UPPER_HALF, 0.3, 0.02)
    threat = ThreatModel("linf", budgets)
    assert threat.epsilon == pytest.approx(0.3)
    result = attacked(name, threat)
    change = (result.adversarials.double() - INPUTS.double()).abs()
    assert bool((change <= torch.from_numpy(budgets) * (1 + 1e-6)).all())
    assert attacked(name, ThreatModel("linf", 0.02)).robust_accuracy >= result.robust_accuracy
    assert 0 < result.robust_accuracy < 1 or name == "fgm"
    assert bool((change[:, :, :3] > 0.02).any())


@pytest.mark.parametrize(("name", "norm"), [("pgd", "linf"), ("ddn", "l2"), ("fmn", "l1"), ("fab", "l2"), ("cw", "l2")])
def test_bounds_for_each_value(name: str, norm: Norm) -> None:
    """A table: columns of other ranges."""
    scale = torch.tensor([1.0, 10.0, 100.0, 0.1]).repeat(9).reshape(SHAPE)
    x, net = INPUTS * scale, torch.nn.Sequential(Unscale(scale), MODEL)
    threat = ThreatModel(norm, None if name != "pgd" else 0.3, bounds=(torch.zeros(SHAPE), scale))
    assert threat.bounds == (0.0, 100.0)
    result = run(load(f"attack:{name}")(), net, x, LABELS, threat)
    assert bool(result.success.any())
    assert bool(((result.adversarials >= 0) & (result.adversarials <= scale)).all())


class Unscale(torch.nn.Module):
    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x / self.scale


def test_arrays_are_compared_by_content() -> None:
    one, same = (ThreatModel("linf", 0.1, mask=UPPER_HALF.copy()) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert repr(one) == repr(same)
    assert str(one) == "linf:0.1, within a mask"
    other = ThreatModel("linf", 0.1, mask=~UPPER_HALF)
    assert one != other
    assert repr(one) != repr(other)
    smaller = replace(ThreatModel("linf", np.array([0.1, 0.2])), epsilon=0.1)
    assert smaller.budgets == pytest.approx(np.array([0.05, 0.1]))


@pytest.mark.parametrize(
    ("threat", "message"),
    [
        (ThreatModel("linf", 0.1, mask=np.ones((3, 5))), "mask of the threat model has shape"),
        (ThreatModel("linf", np.full(7, 0.1)), "epsilon of the threat model has shape"),
        (ThreatModel("linf", 0.1, bounds=(np.zeros((2, 6, 6)), np.ones((2, 6, 6)))), "bounds of the threat model"),
        (ThreatModel("linf", 0.1, bounds=(np.zeros(SHAPE), np.where(UPPER_HALF, 1, 0.1))), "outside its bounds"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(threat: ThreatModel, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make_problem(MODEL, INPUTS, LABELS, threat)


def test_attacks_of_other_libraries_are_refused() -> None:
    pytest.importorskip("foolbox")
    with pytest.raises(InvalidInput, match="knows no mask"):
        attacked("foolbox:LinfPGD", ThreatModel("linf", 0.1, mask=UPPER_HALF))
