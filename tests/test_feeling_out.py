"""Losses at many points around each sample: their values, their price, and that they are never the best point."""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import pytest
import torch
from torch import Tensor

from advplug.api import run
from advplug.attack import Attack
from advplug.engine.task import Task
from advplug.losses import Margin
from advplug.model import PlainModel
from advplug.numerics.tensors import per_sample, raw, wrap
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

SHIFTS = torch.linspace(-20, 20, 7)


class FeelsOut(Attack):
    """Asks for the losses at shifted inputs, and evaluates nothing."""

    minimum_norm = True

    def __init__(self) -> None:
        self.losses: Tensor | None = None
        self.asked: list[int] = []

    def run(self, task: Task) -> None:
        def points(first: int, many: int) -> ep.Tensor:
            self.asked.append(many)
            shifts = wrap(SHIFTS[first : first + many].double())
            return task.inputs + per_sample(shifts, ep.stack([task.inputs] * many))

        self.losses = raw(task.losses(points, len(SHIFTS)))


@pytest.mark.parametrize(("memory", "pieces"), [(2**30, [7]), (1600, [1] * 7)])
def test_losses_of_points_around_each_sample(memory: int, pieces: list[int]) -> None:
    """The same whether all points fit into one forward pass or only one for each sample."""
    net = linear_model(3, (5,))
    x = torch.rand(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = net(x).argmax(1)
    attack = FeelsOut()
    options: dict[str, Any] = {"loss": Margin(), "memory_budget": memory}
    result = run(attack, PlainModel(net, 3), x, y, ThreatModel("l2"), **options)
    assert attack.losses is not None
    for shift, losses in zip(SHIFTS.double(), attack.losses, strict=True):
        z = net(x + shift)
        rest = z.scatter(1, y[:, None], -torch.inf).amax(1)
        torch.testing.assert_close(losses, z.gather(1, y[:, None]).squeeze(1) - rest)
    assert (attack.losses < 0).any(), "some of the points would be successes"
    assert not result.success.any(), "but none was offered as one"
    assert (result.forwards == len(SHIFTS)).all()
    assert not result.backwards.any()
    assert not attack.losses.requires_grad
    assert attack.asked == pieces
