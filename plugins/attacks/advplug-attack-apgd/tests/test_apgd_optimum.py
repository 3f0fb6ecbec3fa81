"""On a linear model the best perturbation is known: APGD must find it with no step size given."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_apgd import APGD

from advplug import ThreatModel, run
from advplug.losses import DLR, CrossEntropy, Margin, TargetedDLR
from advplug.testing.linear import largest_change, linear_model
from advplug.threat import Norm

BUDGETS: list[tuple[Norm, float, float]] = [
    ("linf", 0.1, 0.9999),
    ("l2", 0.2, 0.9999),
    ("l2", 2.0, 0.9999),
    ("l1", 0.5, 0.95),  # its steps are signs, so it cannot tell the steepest value from the next
    ("l1", 6.0, 0.95),
]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize(("norm", "epsilon", "share"), BUDGETS)
def test_reaches_the_optimum(norm: Norm, epsilon: float, share: float, batch: int, bounds: tuple[float, float]) -> None:
    model = linear_model(2, (2, 3, 4))
    generator = torch.Generator().manual_seed(batch)
    x = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(batch, 2, 3, 4, generator=generator, dtype=torch.float64)
    y = model(x).argmax(1)
    weight = model[1].weight.detach()
    push = weight[y] - weight[1 - y]
    best = largest_change(push, x.flatten(1), norm, epsilon, bounds)
    margin = (push * x.flatten(1)).sum(1)
    for targeted in (False, True):
        result = run(
            APGD(),
            model,
            x,
            y,
            ThreatModel(norm, epsilon, bounds, targeted),
            targets=1 - y if targeted else None,
            loss=Margin(),
            early_end=False,
        )
        assert ((margin - result.trace.amin(0)) / best).min() >= share
        assert not result.success[best < margin].any()
        assert result.success[share * best > margin * (1 + 1e-6)].all()


@pytest.mark.parametrize("loss", [CrossEntropy(), DLR(), Margin(), TargetedDLR()])
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.03), ("l2", 0.2), ("l1", 0.8)])
def test_every_loss_breaks_what_some_class_can_break(norm: Norm, epsilon: float, loss: object) -> None:
    """All target classes of a sample in one batch find every sample that any class can take."""
    model = linear_model(5, (20,), seed=1)
    x = torch.rand(64, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    result = run(APGD(), model, x, y, ThreatModel(norm, epsilon), targets="each", loss=loss, targets_at_once=4)  # type: ignore[arg-type]
    weight, logits = model[1].weight.detach(), model(x).detach()
    reach = torch.full((64,), -torch.inf, dtype=torch.float64)
    for target in range(5):
        change = largest_change(weight[y] - weight[target], x, norm, epsilon, (0.0, 1.0))
        over = change - (logits.gather(1, y[:, None]).squeeze(1) - logits[:, target])
        reach = torch.where(y == target, reach, torch.maximum(reach, over))
    slack = 0.03 * epsilon * 5 if norm == "l1" else 1e-3
    clear = reach.abs() > slack
    assert 0 < (reach > slack).sum() < 64, "the budget should break some samples and not others"
    assert torch.equal(result.success[clear], (reach > 0)[clear])


def test_a_budget_for_each_sample() -> None:
    model = linear_model(2, (12,), seed=2)
    x = torch.rand(8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, epsilon = model(x).argmax(1), torch.linspace(0.0, 0.35, 8, dtype=torch.float64)
    weight = model[1].weight.detach()
    push = weight[y] - weight[1 - y]
    for norm in ("linf", "l2"):
        result = run(
            APGD(),
            model,
            x,
            y,
            ThreatModel(norm, 1.0),
            epsilon=epsilon,
            loss=Margin(),
            early_end=False,  # type: ignore[arg-type]
        )
        best = largest_change(push, x, norm, epsilon, (0.0, 1.0))
        torch.testing.assert_close((push * x).sum(1) - result.trace.amin(0).double(), best, rtol=1e-3, atol=1e-5)
