"""What the host says of its own: on models whose gradient is lost, or leads nowhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor, nn

from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.evaluation import Evaluation, evaluate, model_job
from advplug.gradients import EOT, Exact, FiniteDifference, GradientEstimator
from advplug.losses import Margin
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.3)


class Rounded(nn.Module):
    """A linear model behind rounding to ``levels``, which has no gradient."""

    def __init__(self, levels: float) -> None:
        super().__init__()
        self.levels, self.linear = levels, linear_model(3, (10,)).float()

    def forward(self, x: Tensor) -> Tensor:
        rounded: Tensor = self.linear((x * self.levels).round() / self.levels)
        return rounded


class Misleading(Rounded):
    """The same with a gradient that points the wrong way."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - (self.linear(x) - self.linear(x).detach())


def _evaluation(model: nn.Module, *recipes: Recipe, sweep: tuple[float, ...] = ()) -> Evaluation:
    x = torch.rand(40, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = Images(x, model(x).argmax(1), tuple("abc"), "noise")
    return evaluate(model_job("toy", model.eval(), images, LINF, recipes, sweep=sweep))


def _names(evaluation: Evaluation) -> list[str]:
    return [finding.name for finding in evaluation.findings]


EXACT = Recipe(name="exact", attack=PGD(steps=10, random_start=False))
SCORES = Recipe(
    name="scores", attack=PGD(steps=20, random_start=False), loss=Margin(), gradient=FiniteDifference(0.1, 40)
)


@pytest.mark.parametrize("gradient", [Exact(), EOT(4)], ids=["exact", "eot"])
@pytest.mark.parametrize("sweep", [(), (0.1, 0.2)], ids=["one budget", "three"])
def test_a_model_without_a_gradient_is_named(gradient: GradientEstimator, sweep: tuple[float, ...]) -> None:
    evaluation = _evaluation(Rounded(50), replace(EXACT, gradient=gradient), sweep=sweep)
    assert _names(evaluation) == ["unusable-gradients"]
    assert "100.0 %" in evaluation.findings[0].message
    assert "finite differences" in evaluation.findings[0].advice


@pytest.mark.parametrize("model", [Rounded(50), Misleading(50)])
def test_scores_that_beat_gradients_are_named(model: nn.Module) -> None:
    evaluation = _evaluation(model, EXACT, SCORES)
    assert evaluation.rows[1].robust_accuracy < evaluation.rows[0].robust_accuracy
    assert "masked-gradients" in _names(evaluation)


def test_an_honest_model_is_not_accused() -> None:
    assert _names(_evaluation(linear_model(3, (10,)).float(), EXACT, SCORES)) == []


def test_scores_that_depend_on_batch_mates_are_named() -> None:
    class OwnStatistics(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.norm = nn.BatchNorm1d(1, track_running_stats=False)
            self.linear = nn.Linear(10, 3)

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.linear(self.norm(x[:, None])[:, 0])
            return scores

    dependent = _evaluation(OwnStatistics(), EXACT)
    assert "batch-dependent" in _names(dependent)
    (finding,) = (one for one in dependent.findings if one.name == "batch-dependent")
    assert "running statistics" in finding.advice
    assert "batch-dependent" not in _names(_evaluation(linear_model(3, (10,)).float(), EXACT))


def test_a_random_model_is_not_taken_for_a_batch_dependent_one() -> None:
    class Noisy(nn.Module):
        stochastic = True

        def __init__(self) -> None:
            super().__init__()
            self.linear = linear_model(3, (10,)).float()

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.linear(x + 0.1 * torch.randn_like(x))
            return scores

    for gradient in (Exact(), EOT(4)):
        names = _names(_evaluation(Noisy(), replace(EXACT, gradient=gradient)))
        assert "batch-dependent" not in names
