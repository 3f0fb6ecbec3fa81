"""The binarisation test: sound attacks find the point that is known to exist, and weak ones do not."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor, nn

from advplug.adaptive import Recipe
from advplug.engine.problem import Problem, make_problem
from advplug.errors import InvalidInput
from advplug.evaluation.diagnostics.binarisation import binarisation
from advplug.evaluation.diagnostics.readout import separate
from advplug.losses import DLR, Margin
from advplug.model import Decision, DefendedModel
from advplug.threat import ThreatModel

X = torch.rand(8, 100, generator=torch.Generator().manual_seed(0))
Y = torch.zeros(8, dtype=torch.int64)


def network(*before: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*before, nn.Linear(100, 64), nn.ReLU(), nn.Linear(64, 3)).eval()


class Rounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 40).round() / 40


def problem(model: nn.Module, norm: str = "linf", epsilon: float | None = 0.2) -> Problem:
    return make_problem(model, X, Y, ThreatModel(norm, epsilon))


SOUND = Recipe(name="pgd", attack=PGD(steps=40), loss=Margin())
WEAK = Recipe(name="idle", attack=PGD(steps=2, step_size=0.001, random_start=False))


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.2), ("l2", 0.5)])
def test_a_sound_attack_passes_and_guessing_does_not(norm: str, epsilon: float) -> None:
    found = binarisation(SOUND, problem(network(), norm, epsilon), samples=8)
    assert (found.tested, found.success_rate, found.passed) == (8, 1.0, True), found
    assert found.random_success_rate < 0.5
    assert found.reads == "the inputs of module.2"


def test_an_attack_that_does_not_move_fails_and_names_what_it_missed() -> None:
    found = binarisation(WEAK, problem(network()), samples=8)
    assert (found.success_rate, found.passed, found.missed) == (0.0, False, tuple(range(8)))


def test_exact_gradients_fail_behind_rounding() -> None:
    found = binarisation(SOUND, problem(network(Rounded())), samples=8)
    assert found.passed is False


def test_what_follows_the_last_layer_belongs_to_the_features() -> None:
    rounded = nn.Sequential(network(), nn.Tanh())
    assert binarisation(WEAK, problem(rounded), samples=2, inner=99).reads == "the scores"


def test_a_loss_of_three_classes_is_replaced_and_said() -> None:
    found = binarisation(Recipe(name="dlr", attack=PGD(), loss=DLR()), problem(network()), samples=2)
    assert found.replaced == "DLR"


def test_a_detector_must_accept_what_is_found() -> None:
    class Refusing(DefendedModel):
        def __init__(self, limit: float) -> None:
            super().__init__(3)
            self.net, self.limit = network(), limit

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)  # type: ignore[no-any-return]

        def decide(self, x: Tensor) -> Decision:
            return Decision(self.net(x).argmax(1), x[:, 0] <= self.limit)

    assert binarisation(SOUND, problem(Refusing(2.0)), samples=4).success_rate > 0.5
    none = binarisation(SOUND, problem(Refusing(-1.0)), samples=4)
    assert (none.tested, none.left_out, none.passed) == (0, 4, None)


def test_it_needs_a_budget() -> None:
    with pytest.raises(InvalidInput, match="needs a budget: give"):
        binarisation(SOUND, problem(network(), epsilon=None))


def test_a_readout_separates_one_point_or_says_that_none_can_be() -> None:
    inner = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    found = separate(inner, torch.cat((torch.zeros(1, 5), torch.full((1, 5), 9.0))))
    assert found is not None
    readout, chosen = found
    assert chosen == 1
    assert bool((readout(inner) < 0).all())
    assert float(readout(torch.full((1, 5), 9.0))) > 0
    assert separate(inner, torch.zeros(1, 5)) is None
