"""SPSA and NES: their gradients, their queries, and the optimum of linear models."""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import pytest
import torch
from advplug_attack_score import SPSA
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.attack import Attack, Task
from advplug.gradients import FiniteDifference
from advplug.losses import Margin
from advplug.numerics import raw
from advplug.testing.linear import largest_change, linear_model


def case(count: int = 24) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(3, (1, 4, 4), seed=3)
    x = 0.2 + 0.6 * torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return model, x, model(x).argmax(1)


class Probe(Attack):
    """Compares gradients at the inputs instead of an attack."""

    def __init__(self, attack: SPSA) -> None:
        self.attack = attack
        self.ours: ep.Tensor | None = None
        self.other: ep.Tensor | None = None

    def run(self, task: Task) -> None:
        self.ours, self.other = self.attack.gradient(task, task.inputs), task.gradient(task.inputs)


def test_gaussian_directions_give_the_gradient_of_nes() -> None:
    """The same draws as ``FiniteDifference``: what NES needs besides is PGD."""
    model, x, y = case(4)
    probe = Probe(SPSA(draws=20, delta=0.01, directions="gaussian"))
    nes = FiniteDifference(sigma=0.01, queries=40)
    run(probe, model, x, y, ThreatModel("linf", 0.1), loss=Margin(), gradient=nes)
    assert probe.ours is not None
    assert probe.other is not None
    torch.testing.assert_close(raw(probe.ours), raw(probe.other))


def test_many_signs_give_the_gradient_of_a_linear_model() -> None:
    model, x, y = case(4)
    probe = Probe(SPSA(draws=3000))
    run(probe, model, x, y, ThreatModel("linf", 0.1), loss=Margin())
    assert probe.ours is not None
    assert probe.other is not None
    found, true = raw(probe.ours).flatten(1), raw(probe.other).flatten(1)
    assert (torch.nn.functional.cosine_similarity(found, true) > 0.98).all()
    assert ((found.norm(dim=1) / true.norm(dim=1) - 1).abs() < 0.1).all()


@pytest.mark.parametrize("directions", ["rademacher", "gaussian"])
def test_reaches_the_optimum_of_a_linear_model_under_linf(directions: Any) -> None:
    model, x, y = linear_model(2, (1, 4, 4), seed=3), *case()[1:]
    y = model(x).argmax(1)
    weight = model[1].weight.detach()  # type: ignore[index]
    towards = weight[y] - weight[1 - y]
    gap = (towards * x.flatten(1)).sum(1)
    reach = largest_change(towards, x.flatten(1), "linf", 0.15, (0.0, 1.0))
    found = run(SPSA(steps=60, draws=32, directions=directions), model, x, y, ThreatModel("linf", 0.15)).success
    clear = (reach - gap).abs() > 0.1 * gap
    assert torch.equal(found[clear], (reach > gap)[clear])
    assert 0 < int(found.sum()) < 24


def test_a_step_takes_two_queries_for_each_draw_and_one_to_judge() -> None:
    model, x, y = case(3)
    result = run(SPSA(steps=4, draws=18), model, x, y, ThreatModel("l2", 1e-6))
    assert result.forwards.tolist() == [4 * 37 + 1] * 3
    assert not result.backwards.any()


def test_the_loss_is_the_margin() -> None:
    model, x, y = case(3)
    threat = ThreatModel("linf", 0.01)
    given = run(SPSA(steps=3, draws=4), model, x, y, threat, loss=Margin())
    default = run(SPSA(steps=3, draws=4), model, x, y, threat)
    assert torch.equal(given.trace.nan_to_num(0), default.trace.nan_to_num(0))
