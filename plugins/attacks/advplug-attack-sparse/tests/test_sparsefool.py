"""SparseFool: the hyperplane is crossed by few values, turns, and the same attack of torchattacks."""

from __future__ import annotations

from importlib.util import find_spec

import eagerpy as ep
import pytest
import torch
from advplug_attack_sparse import SparseFool
from advplug_attack_sparse._sparsefool import in_turn
from torch import Tensor

from advplug import ThreatModel, run
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model

TORCHATTACKS = {"mnist": 83.82, "mnist-l2": 219.7}
"""Mean number of values that SparseFool of torchattacks 3.5.1 changes on 100 digits, for where it is not installed."""


def test_shares_reach_the_goal_in_turn() -> None:
    gain, rank = ep.astensor(torch.tensor([[1.0, 2, 3, 0]])), ep.astensor(torch.tensor([[9.0, 1, 5, 7]]))
    shares: list[Tensor] = [in_turn(gain, rank, ep.astensor(torch.tensor([goal]))).raw for goal in (0.0, 2.5, 99.0)]
    torch.testing.assert_close(torch.cat(shares), torch.tensor([[0.0, 0, 0, 0], [1, 0, 0.5, 0], [1, 1, 1, 0]]))


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("targeted", [False, True])
def test_two_classes_of_a_linear_model_under_l1(targeted: bool, bounds: tuple[float, float]) -> None:
    ratio = distance_over_optimum(SparseFool(), "l1", bounds=bounds, targeted=targeted)
    assert ratio.max() <= 1.05, "but for both overshoots of 2 %"


def test_a_linear_model_takes_one_turn() -> None:
    """One gradient at the input, one at the point of DeepFool, one at the sparse point."""
    model = linear_model(2, (20,), seed=1)
    x = torch.rand(6, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    result = run(SparseFool(), model, x, model(x).argmax(1), ThreatModel("l1"))
    assert result.success.all()
    assert (result.backwards == 3).all()


@pytest.mark.parametrize("preset", TORCHATTACKS)
def test_sparser_than_torchattacks(preset: str) -> None:
    net, x, y = shipped_digits(preset, 20, "adversarial-training")
    ours = run(SparseFool(), net, x, y, ThreatModel("l0"))
    theirs = TORCHATTACKS[preset]
    if find_spec("torchattacks"):
        import torchattacks

        points = torchattacks.SparseFool(net)(x, y)
        broken = net(points).argmax(1) != y
        theirs = (points != x).flatten(1).sum(1)[broken].double().mean().item()
    assert ours.success.double().mean() >= 0.9
    assert ours.distance.nanmean() < theirs


def test_a_deeper_hyperplane_takes_fewer_turns_and_more_values() -> None:
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    near, deep = (run(SparseFool(depth=depth), net, x, y, ThreatModel("l0")) for depth in (1.0, 3.0))
    assert deep.backwards.sum() < near.backwards.sum()
    assert deep.distance.mean() > near.distance.mean()


def test_fewest_values_under_l0_and_least_change_under_l1() -> None:
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    few, small = (run(SparseFool(), net, x, y, ThreatModel(norm)).adversarials - x for norm in ("l0", "l1"))
    assert (few != 0).sum() < (small != 0).sum()
    assert small.abs().sum() < few.abs().sum()
