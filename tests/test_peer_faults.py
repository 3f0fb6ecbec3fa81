"""Faults of other libraries' attacks, each a test for every attack of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from every_attack import every_attack, short
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.data import Images
from advplug.testing.linear import linear_model
from advplug.threat import Norm

SHAPE = (1, 6, 6)
BUDGETS: dict[str, float] = {"linf": 0.3, "l2": 1.5, "l1": 6.0, "l0": 6.0}
NET = linear_model(2, SHAPE, dtype=torch.float32)
INPUTS = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(0))
FIRST = [(name, norm) for name, norm in every_attack() if short(name).norms[0] == norm]
"""One norm for each attack: these faults are none of a norm."""

each = pytest.mark.parametrize(("name", "norm"), FIRST, ids=str)


def attacked(name: str, norm: Norm, model: nn.Module, x: Tensor, **options: Any) -> Any:
    attack = short(name)
    labels = NET(x.float()).argmax(1)
    own = Images(x, labels) if attack.needs_auxiliary else None
    mask = options.pop("mask", None)
    return run(attack, model, x, labels, ThreatModel(norm, BUDGETS[norm], mask=mask), auxiliary=own, **options)


class Remembers(nn.Module):
    """Hands out logits and keeps both them and what they were."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.kept = NET, list[tuple[Tensor, Tensor]]()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        self.kept.append((logits.detach(), logits.detach().clone()))  # detached, it has the same memory
        return logits


@each
def test_the_logits_of_the_model_are_not_written_to(name: str, norm: Norm) -> None:
    """Foolbox's C&W and EAD add a constant to them in place."""
    model = Remembers()
    attacked(name, norm, model, INPUTS)
    assert model.kept
    assert all(torch.equal(given, was) for given, was in model.kept)


class Lowered(nn.Module):
    """All logits are negative, and none of their differences changes."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = NET(x)
        return logits - 64


@each
def test_negative_logits_hide_nothing(name: str, norm: Norm) -> None:
    """The margin of torchattacks' C&W has a maximum over zeros, which no logit here exceeds."""
    plain, low = (attacked(name, norm, model, INPUTS).success for model in (NET, Lowered()))
    assert bool(plain.any())
    assert int((plain != low).sum()) <= 1, "rounding of one sample near its budget"


@each
def test_values_at_the_bounds_are_moved(name: str, norm: Norm) -> None:
    """torchattacks' way into tanh space is infinite at 0 and 1, where its gradient is zero."""
    x = (INPUTS > 0.5).float()
    if name == "zoo":  # short steps through tanh, whose slope is small there
        attack = load("attack:zoo")(steps=200, search_steps=2, coordinates=8)
        result = run(attack, NET, x, NET(x).argmax(1), ThreatModel("l2", BUDGETS["l2"]))
    else:
        result = attacked(name, norm, NET, x)
    assert bool(result.success.any())
    assert result.adversarials.isfinite().all()
    assert (result.adversarials - x).flatten(1).abs().sum(1)[result.success & result.correct].min() > 0


@each
def test_double_inputs_of_a_float_model(name: str, norm: Norm) -> None:
    """ART's HopSkipJump and boundary attack hand them to the model as they are, which crashes."""
    result = attacked(name, norm, NET, INPUTS.double())
    assert result.adversarials.dtype == torch.float64
    assert bool(result.success.any())


class Shut(nn.Module):
    """Answers with class 0 wherever the first value is above 0.9, else like a linear model."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = NET(x)
        shut = torch.tensor([10.0, -10.0]) + 0 * logits
        return torch.where(x.flatten(1)[:, :1] > 0.9, shut, logits)


@pytest.mark.parametrize("name", ["hopskipjump", "boundary", "rays", "geoda", "sign-opt", "brendel-bethge"])
def test_a_sample_without_a_starting_point_does_not_stop_its_batch(name: str) -> None:
    """In Foolbox it ends the run of HopSkipJump, the boundary attack and Brendel & Bethge for all samples."""
    mask = np.arange(36).reshape(SHAPE) > 0
    x = INPUTS.clone()
    x.flatten(1)[:, 0] = 0.5
    x[2].flatten()[0] = 1.0
    rest = torch.arange(len(x)) != 2

    def found(points: Tensor) -> Any:
        threat = ThreatModel(short(name).norms[0], None, mask=mask)
        return run(short(name), Shut(), points, Shut()(points).argmax(1), threat)

    result = found(x)
    assert not result.success[2]
    assert torch.equal(result.adversarials[2], x[2])
    assert result.success[rest].any()
    assert result.success[rest][:2].equal(found(x[:2]).success), "what they find without it"
    assert result.success[rest].all() or name == "rays", "it tries few corners, which are all wrong for some"
