"""On a linear model the best perturbation is known: PGD must find it, and break exactly what can be broken."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_pgd import PGD

from advplug.api import run
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.model import Decision, DefendedModel
from advplug.testing.linear import largest_change, linear_model
from advplug.threat import ThreatModel

BUDGETS = [("linf", 0.1), ("l2", 0.2), ("l2", 2.0), ("l1", 0.5), ("l1", 6.0), ("l0", 1), ("l0", 5)]
LONG = {"linf": None, "l2": 100.0, "l1": 100.0, "l0": 1e7}  # on a linear loss a long step lands on the optimum


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize(("norm", "epsilon"), BUDGETS)
def test_reaches_the_optimum(norm: str, epsilon: float, batch: int, bounds: tuple[float, float]) -> None:
    model = linear_model(2, (2, 3, 4))
    generator = torch.Generator().manual_seed(batch)
    x = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(batch, 2, 3, 4, generator=generator, dtype=torch.float64)
    y = model(x).argmax(1)
    for targeted in (False, True):
        result = run(
            PGD(steps=40, step_size=LONG[norm]),
            model,
            x,
            y,
            ThreatModel(norm, epsilon, bounds, targeted),
            targets=1 - y if targeted else None,
            loss=Margin(),
            early_end=False,
        )
        weight = model[1].weight.detach()
        push = weight[y] - weight[1 - y]
        best = largest_change(push, x.flatten(1), norm, epsilon, bounds)
        margin = (push * x.flatten(1)).sum(1)
        reached = margin - result.trace[-1]
        torch.testing.assert_close(reached.double(), best, rtol=1e-4, atol=1e-5)
        clear = (margin - best).abs() > 1e-4
        assert torch.equal(result.success[clear], (best > margin)[clear])


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.03), ("l2", 0.2), ("l1", 0.8), ("l0", 2)])
def test_each_other_class_in_turn_breaks_all_that_can_be_broken(norm: str, epsilon: float) -> None:
    """With five classes a sample falls if any one of the four other classes can be reached."""
    model = linear_model(5, (20,), seed=1)
    x = torch.rand(64, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    result = run(
        PGD(steps=40, step_size=LONG[norm]), model, x, y, ThreatModel(norm, epsilon), targets="each", loss=Margin()
    )
    weight, logits = model[1].weight.detach(), model(x).detach()
    reachable = torch.zeros(64, dtype=torch.bool)
    for target in range(5):
        push = weight[y] - weight[target]
        gap = logits.gather(1, y[:, None]).squeeze(1) - logits[:, target]
        reachable |= (y != target) & (largest_change(push, x, norm, epsilon, (0.0, 1.0)) > gap + 1e-6)
    assert 0 < reachable.sum() < 64, "the budget should break some samples and not others"
    assert torch.equal(result.success, reachable)


def test_momentum_schedules_and_rules_stay_within_the_budget_and_work() -> None:
    model = linear_model(2, (12,), seed=2)
    x = torch.rand(32, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    plain = run(PGD(), model, x, y, ThreatModel("linf", 0.1), loss=Margin())
    variants = [
        PGD(momentum=1.0),
        PGD(schedule="linear", random_start=False),
        PGD(schedule="cosine", random_start=False),
    ]
    variants += [PGD(rule=rule, step_size=0.5) for rule in ("raw", "normalised", "equal-perturbation")]
    for attack in variants:
        result = run(attack, model, x, y, ThreatModel("linf", 0.1), loss=Margin())
        assert result.distance[result.success].max() <= 0.1 * (1 + 1e-6)
        assert torch.equal(result.success, plain.success), attack


def test_a_schedule_shrinks_the_step() -> None:
    assert [PGD(steps=4, schedule="linear")._decay(t) for t in range(4)] == [1, 0.75, 0.5, 0.25]
    assert PGD(steps=4, schedule="cosine")._decay(2) == pytest.approx(0.5)
    assert PGD(steps=4)._decay(3) == 1


class Doorkeeper(DefendedModel):
    """Rejects nothing, and counts how often it is asked for a decision."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__(2)
        self.network = network
        self.asked = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(x)
        return logits

    def decide(self, x: torch.Tensor) -> Decision:
        self.asked += 1
        return DefendedModel.decide(self, x)


def test_only_the_last_iterate_need_be_judged() -> None:
    x = torch.rand(8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    asked, broken = {}, {}
    for judge in ("every", "last"):
        model = Doorkeeper(linear_model(2, (12,), seed=2))
        attack = PGD(steps=20, judge=judge)  # type: ignore[arg-type]
        result = run(attack, model, x, model(x).argmax(1), ThreatModel("linf", 0.3), early_end=False)
        asked[judge], broken[judge] = model.asked, result.success
    assert asked["every"] - asked["last"] == 20
    assert torch.equal(broken["every"], broken["last"])
    assert broken["last"].any()
    with pytest.raises(InvalidInput, match="judge"):
        PGD(judge="first")  # type: ignore[arg-type]


def test_nesterov_asks_where_the_momentum_leads_and_finds_the_same_optimum() -> None:
    model = linear_model(2, (2, 3, 4))
    x = torch.rand(16, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    plain, ahead = (
        run(
            PGD(steps=20, momentum=1.0, nesterov=nesterov, random_start=False), model, x, y, ThreatModel("linf", 0.1),
            loss=Margin(), early_end=False,
        )
        for nesterov in (False, True)
    )  # fmt: skip
    assert not torch.equal(plain.trace[:3], ahead.trace[:3])  # the second point is already a step further
    torch.testing.assert_close(plain.trace[-1], ahead.trace[-1], rtol=1e-5, atol=1e-6)
    assert torch.equal(plain.success, ahead.success)


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"give momentum=1\.0 as well"):
        PGD(nesterov=True)
