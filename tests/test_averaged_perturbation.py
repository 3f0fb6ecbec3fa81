"""The mean of attacks on single draws of a random defense: counted, within the budget, beside a mean gradient."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.families.averaged_perturbation import AveragedPerturbation
from advplug.gradients import EOT
from advplug.interop.foolbox import FoolboxAttack
from advplug.model import DefendedModel
from advplug.testing.linear import linear_model

LINF = ThreatModel("linf", 0.1)
STEPS = 8


class Masking(DefendedModel):
    """A linear classifier that sees half of the features, chosen anew in every pass for every input."""

    stochastic = True

    def __init__(self) -> None:
        super().__init__(3)
        self.linear = linear_model(3, (20,)).float()

    def forward(self, x: Tensor) -> Tensor:
        return self._seen(x, torch.rand(x.shape))

    def sample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self._seen(x, torch.rand(x.shape, generator=generator))

    def _seen(self, x: Tensor, draw: Tensor) -> Tensor:
        scores: Tensor = self.linear(x * (draw < 0.5))
        return scores


def images(model: DefendedModel, count: int = 60) -> tuple[Tensor, Tensor]:
    x = torch.rand(count, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return x, torch.stack([model(x) for _ in range(200)]).mean(0).argmax(1)


def test_each_draw_is_attacked_by_itself_and_the_passes_are_charged() -> None:
    model = Masking()
    x, y = images(model)
    result = run(AveragedPerturbation(attack=PGD(steps=STEPS), draws=5), model, x, y, LINF, seed=1)
    attacked = result.correct
    assert 0 < result.success[attacked].sum() < attacked.sum()
    assert bool((result.backwards[attacked] == 5 * STEPS).all())
    assert bool((result.forwards[attacked] == 5 * (STEPS + 1) + 10).all())  # and ten draws judge the mean
    assert bool((result.distance[result.success] <= 0.1 * (1 + 1e-6)).all())
    again = run(AveragedPerturbation(attack=PGD(steps=STEPS), draws=5), model, x, y, LINF, seed=1)
    assert torch.equal(result.adversarials, again.adversarials)


def test_the_mean_gradient_does_more_than_the_mean_perturbation() -> None:
    model = Masking()
    x, y = images(model, 200)
    means = run(AveragedPerturbation(attack=PGD(steps=STEPS), draws=8), model, x, y, LINF)
    gradients = run(PGD(steps=STEPS), model, x, y, LINF, gradient=EOT(8))
    assert gradients.robust_accuracy <= means.robust_accuracy


def test_a_model_without_draws_is_attacked_once() -> None:
    model = linear_model(3, (20,)).float()
    x = torch.rand(40, 20, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    attack = PGD(steps=STEPS, random_start=False)
    once, mean = (run(each, model, x, y, LINF) for each in (attack, AveragedPerturbation(attack=attack, draws=9)))
    assert torch.equal(once.success, mean.success)
    assert int(mean.backwards.max()) == STEPS


def test_attacks_of_other_libraries_take_part() -> None:
    model = Masking()
    x, y = images(model)
    attack = AveragedPerturbation(attack=FoolboxAttack("LinfPGD", {"steps": STEPS}), draws=2)
    result = run(attack, model, x, y, LINF)
    assert result.success.any()
    assert int(result.backwards.max()) == 2 * STEPS


def test_what_it_cannot_average_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        AveragedPerturbation(attack=PGD(), draws=0)
    model = Masking()
    x, y = images(model, 4)
    with pytest.raises(InvalidInput, match="budget"):
        run(AveragedPerturbation(attack=FoolboxAttack("L2CarliniWagnerAttack")), model, x, y, ThreatModel("l2", None))
