"""Which samples a search with patience gives up, on a model whose margin is a chosen distance from zero."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_square import Square
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.engine.result import AttackResult
from advplug.errors import InvalidInput
from advplug.testing.linear import linear_model

X = torch.rand(3, 1, 24, 24, generator=torch.Generator().manual_seed(0))
Y = torch.zeros(3, dtype=torch.int64)
BUDGET = ThreatModel("linf", 0.1)
PROPOSALS = 8


class Raised(nn.Module):
    """Two classes of a linear model without a gradient; ``by`` (3,) is added to the margin of each sample.

    Square accepts a window where the margin falls, so ``by`` changes nothing on its way until it succeeds.
    """

    def __init__(self, by: Tensor) -> None:
        super().__init__()
        self.net, self.by = linear_model(2, X.shape[1:]).float(), by

    def forward(self, x: Tensor) -> Tensor:
        number = (x.flatten(1)[:, None] - X.flatten(1)).abs().amax(2).argmin(1)
        scores = self.net(x.detach())
        margin = scores[:, 0] - scores[:, 1] + self.by[number]
        return torch.stack((margin, torch.zeros_like(margin)), 1)


def attacked(by: Tensor, patience: float | None, **options: int) -> AttackResult:
    square = Square(queries=2500, proposals=PROPOSALS, patience=patience)
    return run(square, Raised(by), X, Y, BUDGET, **options)


@pytest.fixture(scope="module")
def least() -> Tensor:
    """The least margin so far at each step, (steps, 3), of the model that nothing is added to but what it survives."""
    return attacked(torch.full((3,), 1e3), None).trace.cummin(0).values - 1e3


def at(least: Tensor, queries: int) -> Tensor:
    return least[queries // PROPOSALS]


def test_a_sample_that_falls_late_is_not_given_up(least: Tensor) -> None:
    late = -(at(least, 2400) + at(least, 1900)) / 2  # the margin is zero between these queries
    patient, endless = (attacked(late, patience) for patience in (4.0, None))
    assert endless.success.all()
    assert torch.equal(patient.success, endless.success)
    assert torch.equal(patient.forwards, endless.forwards)
    assert (patient.forwards > 1900).all()
    assert not patient.given_up.any()


def test_a_sample_whose_margin_falls_too_slowly_is_given_up_at_the_first_look(least: Tensor) -> None:
    fall = at(least, 200) - at(least, 1000)
    for times, given_up in ((3.9, False), (4.1, True)):
        left = attacked(times * fall - at(least, 1000), patience=4.0)
        assert (left.forwards == 1001).tolist() == [given_up] * 3
        assert left.given_up[left.forwards == 1001].all()
    assert not left.success.any()


def test_whoever_shares_the_batch_does_not_matter(least: Tensor) -> None:
    fall = at(least, 200) - at(least, 1000)
    by = torch.tensor([0.5, 20.0, 2.0]) * fall - at(least, 1000)
    together, alone = attacked(by, patience=4.0), attacked(by, patience=4.0, batch_size=1)
    assert torch.equal(alone.given_up, together.given_up)
    assert torch.equal(alone.forwards, together.forwards)
    assert together.given_up.tolist() == [False, True, False]


def test_a_margin_that_does_not_move_says_nothing() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            still = 0 * x.detach().flatten(1).sum(1)
            return torch.stack((still + 1, still), 1)

    result = run(Square(queries=1500, proposals=50, patience=4.0), Flat(), X, Y, BUDGET)
    assert result.forwards.tolist() == [1451] * 3
    assert not result.given_up.any()


def test_with_targets_no_sample_is_given_up() -> None:
    square = Square(queries=1500, proposals=50, patience=1e-9)
    goal = ThreatModel("linf", 1e-4, targeted=True)
    model = Raised(torch.full((3,), 1e3))
    assert not run(square, model, X, Y, goal, targets=Y + 1).given_up.any()
    assert run(square, model, X, Y, ThreatModel("linf", 1e-4)).given_up.all()


def test_no_patience_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="patience"):
        Square(patience=0.0)
