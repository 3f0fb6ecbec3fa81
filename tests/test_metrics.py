"""Metrics: closed forms on linear models, and the orderings that hold for every attack."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import run
from advplug.errors import InvalidInput
from advplug.metrics import (
    area_under,
    labelled_by,
    over_targets,
    relative_distance,
    security_curve,
    transferred,
)

CLASSES, SIZE, COUNT = 4, 20, 12


def linear(seed: int = 0) -> nn.Module:
    net = nn.Linear(SIZE, CLASSES).double()
    weights = torch.randn(CLASSES, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    net.weight.data, net.bias.data = weights, torch.zeros(CLASSES, dtype=torch.float64)
    return net


def batch() -> tuple[Tensor, Tensor]:
    x = 0.4 + 0.2 * torch.rand(COUNT, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x, linear()(x).argmax(1)


def distances(x: Tensor, y: Tensor) -> Tensor:
    """To the boundary of each class, (N, K), infinite for its own."""
    net = linear()
    scores, weight = net(x).detach(), net.weight.detach()  # type: ignore[operator, union-attr]
    gaps = scores.gather(1, y[:, None]) - scores
    found = gaps / (weight[y][:, None] - weight[None]).norm(dim=2)
    return found.scatter(1, y[:, None], math.inf)


def ddn(steps: int = 200) -> Any:
    return pytest.importorskip("advplug_attack_ddn").DDN(steps=steps)


def test_relative_distance_of_a_linear_model() -> None:
    x, y = batch()
    found = relative_distance(run(ddn(), linear(), x, y, "l2:min"), x)
    expected = float((distances(x, y).amin(1) / x.norm(dim=1)).mean())
    assert found.value == pytest.approx(expected, rel=0.02)
    assert (found.successes, found.attacked) == (COUNT, COUNT)
    assert str(found).endswith("over 12 of 12")


def test_samples_without_success_or_length_are_left_out_and_counted() -> None:
    x, y = batch()
    y[0] = (y[0] + 1) % CLASSES  # wrong before the attack
    x[1] = 0.0
    y[1] = linear()(x[1:2]).argmax()
    result = run(ddn(), linear(), x, y, "l2:min")
    assert relative_distance(result, x).attacked == COUNT - 2
    unbroken = run(pytest.importorskip("advplug_attack_pgd").PGD(steps=2), linear(), x[2:], y[2:], "l2:1e-6")
    found = relative_distance(unbroken, x[2:])
    assert math.isnan(found.value)
    assert (found.successes, found.attacked) == (0, COUNT - 2)


def test_best_average_and_worst_target_of_a_linear_model() -> None:
    x, y = batch()
    cases = over_targets(ddn(), linear(), x, y, "l2:min")
    apart = distances(x, y)
    finite = apart[~apart.isinf()].view(COUNT, CLASSES - 1)
    # A target is reached where it beats every other class, so the plane towards it is only a lower bound.
    assert cases.best.lengths["l2"] == pytest.approx(float(finite.amin(1).mean()), rel=0.02)
    assert cases.average.lengths["l2"] >= float(finite.mean()) * 0.99
    assert cases.best.lengths["l2"] < cases.average.lengths["l2"] < cases.worst.lengths["l2"]
    assert cases.best.success_rate == cases.average.success_rate == cases.worst.success_rate == 1
    lines = str(cases).splitlines()
    assert [line.split()[0] for line in lines] == ["case", "best", "average", "worst"]
    assert lines[1].split()[1] == "100.0%"


def test_success_falls_from_best_to_worst_within_a_budget() -> None:
    x, y = batch()
    budget = float(distances(x, y).amin(1).quantile(0.8))
    cases = over_targets(pytest.importorskip("advplug_attack_pgd").PGD(), linear(), x, y, f"l2:{budget}")
    rates = [case.success_rate for case in (cases.best, cases.average, cases.worst)]
    assert 1 > rates[0] > rates[1] > rates[2]
    assert cases.lengths["l2"][~cases.success].isnan().all()


def test_nothing_that_is_right_is_no_table() -> None:
    x, y = batch()
    with pytest.raises(InvalidInput, match="no sample is right"):
        over_targets(ddn(5), linear(), x, (y + 1) % CLASSES, "l2:min")


def test_transfer_counts_what_the_unseen_model_gets_right() -> None:
    x, y = batch()
    other = linear(seed=5)
    right = other(x).argmax(1) == y
    same = transferred(x, other, x, y)
    assert same == (0, int(right.sum()))
    made = run(ddn(), linear(), x, y, "l2:min").adversarials
    fooled = right & (other(made).argmax(1) != y)
    found = transferred(made, other, x, y)
    assert found == (int(fooled.sum()), int(right.sum()))
    assert str(found) == f"{found.value:.1%}, {found.hits} of {found.tested}"
    targets = (y + 1) % CLASSES
    aimed = transferred(made, linear(), x, y, targets=targets)
    assert aimed.hits == int((linear()(made).argmax(1) == targets).sum())


def test_a_second_opinion_gives_shares() -> None:
    x, y = batch()
    judge = linear(seed=5)
    said = judge(x).argmax(1)
    found = labelled_by(judge, x, y, (y + 1) % CLASSES)
    assert found.as_label == pytest.approx(float((said == y).double().mean()))
    assert found.as_target == pytest.approx(float((said == (y + 1) % CLASSES).double().mean()))
    assert sum(found) == pytest.approx(1)


def test_curves_fall_and_the_envelope_is_below_each() -> None:
    x, y = batch()
    fine, coarse = run(ddn(), linear(), x, y, "l2:min"), run(ddn(8), linear(), x, y, "l2:min")
    budgets = [0.0, *torch.linspace(0.05, float(fine.distance.max()) * 1.1, 8).tolist()]
    one, other, both = (security_curve(each, budgets) for each in (fine, coarse, [fine, coarse]))
    assert one[0] == 1
    assert one[-1] == 0
    for curve in (one, other, both):
        assert curve == sorted(curve, reverse=True)
    assert all(low <= min(high) for low, high in zip(both, zip(one, other, strict=True), strict=True))
    assert 0 < area_under(budgets, both) <= area_under(budgets, one) < 1
    assert area_under([0, 1, 3], [1, 1, 1]) == 1
    assert area_under([0, 1, 3], [1, 0, 0]) == pytest.approx(1 / 6)


@pytest.mark.parametrize(("budgets", "accuracies"), [([0], [1]), ([0, 1], [1]), ([1, 0], [1, 1]), ([0, 0], [1, 1])])
def test_a_curve_needs_budgets_that_rise(budgets: list[float], accuracies: list[float]) -> None:
    with pytest.raises(InvalidInput, match="two budgets that rise"):
        area_under(budgets, accuracies)


def test_results_of_different_samples_make_no_curve() -> None:
    x, y = batch()
    one, other = run(ddn(5), linear(), x, y, "l2:min"), run(ddn(5), linear(), x[:5], y[:5], "l2:min")
    with pytest.raises(InvalidInput, match="same samples"):
        security_curve([one, other], [0.1])
    with pytest.raises(InvalidInput, match="at least one"):
        security_curve([], [0.1])
