"""The least norm from attacks that need a budget, on linear models, of which the nearest adversarial is known."""

from __future__ import annotations

import pytest
import torch
from every_attack import every_attack, short
from torch import Tensor

from advplug import ThreatModel, load, run
from advplug.engine.bisection import CLOSE, ROUNDS
from advplug.engine.result import AttackResult
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.testing.linear import least_distance, linear_model
from advplug.threat import Norm

SHAPE = (1, 4, 4)
BOUNDS = (0.0, 1.0)
NEAR = {("apgd", "linf"): 1.04, ("apgd", "l2"): 1.04, ("apgd", "l1"): 1.2}
NEAR |= {("pgd", norm): 1.04 for norm in ("linf", "l2", "l1")}
"""How much further than the nearest point these may end; under L1 APGD moves few values at a time."""


def budgeted() -> list[tuple[str, Norm]]:
    """Attacks that find the least norm through budgets alone."""
    pairs = [(name, norm, short(name)) for name, norm in every_attack()]
    return [(name, norm) for name, norm, attack in pairs if not (attack.minimum_norm or attack.needs_budget)]


def samples(count: int = 12) -> tuple[torch.nn.Module, Tensor, Tensor]:
    """A linear model of two classes, inputs and what it says of them."""
    model = linear_model(2, SHAPE).float()
    x = torch.rand(4 * count, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        scores = model(x)
    clear = (scores[:, 0] - scores[:, 1]).abs() > 0.2
    return model, x[clear][:count], scores.argmax(1)[clear][:count]


def truth(model: torch.nn.Module, x: Tensor, labels: Tensor, norm: Norm) -> Tensor:
    """The distance of the nearest adversarial."""
    weight = next(model.parameters()).detach().double()
    push, flat = weight[labels] - weight[1 - labels], x.flatten(1).double()
    return least_distance(push, (push * flat).sum(1), flat, norm, BOUNDS)


def verified(model: torch.nn.Module, x: Tensor, labels: Tensor, result: AttackResult, norm: Norm) -> None:
    """What was found is adversarial, within the bounds, and no nearer than possible."""
    found, best = result.success, truth(model, x, labels, norm)
    with torch.no_grad():
        assert bool((model(result.adversarials[found]).argmax(1) != labels[found]).all())
    assert bool(((result.adversarials >= 0) & (result.adversarials <= 1)).all())
    assert bool((result.distance[found] >= best[found] * (1 - 1e-6)).all())


def test_every_attack_with_a_budget_takes_part() -> None:
    assert {name for name, _ in budgeted()} >= {"apgd", "fgm", "pgd", "square", "transfer", "substitute"}


@pytest.mark.parametrize(("name", "norm"), budgeted())
def test_distances_are_those_of_adversarials(name: str, norm: Norm) -> None:
    model, x, labels = samples()
    auxiliary = None
    if short(name).needs_auxiliary:
        from advplug.data import Images

        auxiliary = Images(*samples(40)[1:])
    result = run(short(name), model, x, labels, ThreatModel(norm), auxiliary=auxiliary)
    assert bool(result.success.any())
    verified(model, x, labels, result, norm)
    if (name, norm) in NEAR:
        assert bool((result.distance <= truth(model, x, labels, norm) * NEAR[name, norm]).all())


def test_l0_counts_are_whole_and_near_the_least() -> None:
    model, x, labels = samples()
    result = run(load("attack:pgd")(), model, x, labels, ThreatModel("l0"))
    best = truth(model, x, labels, "l0")
    assert torch.equal(result.distance, result.distance.round())
    assert bool((result.distance <= best + 1).all())


def test_it_costs_at_most_ten_runs_and_the_seed_repeats_it() -> None:
    model, x, labels = samples()
    attack = load("attack:apgd")(steps=20)
    first, again = (run(attack, model, x, labels, ThreatModel("l2"), seed=3) for _ in range(2))
    assert torch.equal(first.adversarials, again.adversarials)
    assert bool((first.backwards <= ROUNDS * 20).all())
    assert bool((first.backwards < ROUNDS * 20).any()), "a budget within which it succeeds is left at once"


def test_batches_do_not_change_it() -> None:
    model, x, labels = samples()
    attack, threat = load("attack:pgd")(steps=10), ThreatModel("linf")
    whole, parts = (run(attack, model, x, labels, threat, batch_size=size) for size in (None, 5))
    torch.testing.assert_close(whole.distance, parts.distance)


def test_targets_masks_and_restarts_hold() -> None:
    """Values outside the mask stay; a targeted run ends in its class; restarts come no further."""
    x = samples()[1]
    model = linear_model(4, SHAPE).float()
    labels = model(x).argmax(1).detach()
    targets = (labels + 1) % 4
    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask[..., 0] = False
    threat = ThreatModel("l2", targeted=True, mask=mask)
    attack = load("attack:pgd")()
    one = run(attack, model, x, labels, threat, targets=targets)
    more = run(attack, model, x, labels, threat, targets=targets, restarts=2)
    found = one.success
    assert bool(found.any())
    assert torch.equal((one.adversarials - x)[..., 0], torch.zeros_like(x[..., 0]))
    assert torch.equal(model(one.adversarials[found]).argmax(1), targets[found])
    assert bool((more.distance[found] <= one.distance[found] * (1 + CLOSE)).all())


def test_each_likely_class_is_tried() -> None:
    x = samples()[1]
    model = linear_model(4, SHAPE).float()
    labels = model(x).argmax(1).detach()
    attack, threat = load("attack:pgd")(), ThreatModel("l2")
    for at_once in (1, 3):
        result = run(attack, model, x, labels, threat, num_targets=3, targets_at_once=at_once)
        nearest = torch.stack([_to(model, x, labels, target) for target in range(4)]).amin(0)
        assert bool((result.distance <= nearest * 1.06).all())


def _to(model: torch.nn.Module, x: Tensor, labels: Tensor, target: int) -> Tensor:
    """The least L2 distance to one class, infinite for the sample's own."""
    weight, flat = next(model.parameters()).detach().double(), x.flatten(1).double()
    push = weight[labels] - weight[target]
    distance = least_distance(push, (push * flat).sum(1), flat, "l2", BOUNDS)
    return distance.masked_fill(labels == target, torch.inf)


class Noisy(DefendedModel):
    """A linear model whose scores differ a little from call to call."""

    stochastic = True

    def __init__(self) -> None:
        super().__init__(2)
        self.net = linear_model(2, SHAPE).float()

    def forward(self, x: Tensor) -> Tensor:
        scores = self.net(x)
        return scores + 0.01 * torch.randn_like(scores)


def test_a_random_model_has_distances_of_most_draws() -> None:
    model, x, labels = samples()
    result = run(load("attack:pgd")(), Noisy(), x, labels, ThreatModel("l2"))
    assert bool(result.success.all())
    assert bool((result.success_rate > 0.5).all())
    best = truth(model, x, labels, "l2")
    assert bool((result.distance >= best * 0.95).all())
    assert bool((result.distance <= best * 1.2).all())


def test_what_nothing_breaks_has_no_distance() -> None:
    class Constant(DefendedModel):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([[1.0, 0.0]]).expand(len(x), 2) + 0 * x.sum()

    _, x, _ = samples()
    result = run(load("attack:pgd")(steps=5), Constant(2), x, torch.zeros(len(x)).long(), ThreatModel("linf"))
    assert not bool(result.success.any())
    assert bool(result.distance.isnan().all())
    assert torch.equal(result.adversarials, x)


def test_the_suite_says_what_it_needs() -> None:
    model, x, labels = samples()
    with pytest.raises(InvalidInput, match="Standard needs a budget"):
        run(load("attack:standard")(), model, x, labels, ThreatModel("linf"))
    with pytest.raises(InvalidInput, match="Repeated needs a budget"):
        run(load("attack:standard")().repeat(2), model, x, labels, ThreatModel("linf"))
    assert bool(run(load("attack:pgd")(steps=5).repeat(2), model, x, labels, ThreatModel("linf")).success.all())
