"""What the host says of its own: on models whose gradient is lost, or leads nowhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor, nn

from advplug import run
from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.evaluation import Evaluation, evaluate, model_job
from advplug.evaluation.diagnostics.signs import sign_of_no_room, signs_of_lost_successes
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
    """What trouble was found but for the classes that the noise never falls into."""
    troubles = (finding for finding in evaluation.findings if finding.status in ("warn", "fail"))
    return [finding.name for finding in troubles if finding.name != "missing-classes"]


EXACT = Recipe(name="exact", attack=PGD(steps=10, random_start=False))
SCORES = Recipe(
    name="scores", attack=PGD(steps=20, random_start=False), loss=Margin(), gradient=FiniteDifference(0.1, 40)
)


@pytest.mark.parametrize("gradient", [Exact(), EOT(4)], ids=["exact", "eot"])
@pytest.mark.parametrize("sweep", [(), (0.1, 0.2)], ids=["one budget", "three"])
def test_a_model_without_a_gradient_is_named(gradient: GradientEstimator, sweep: tuple[float, ...]) -> None:
    evaluation = _evaluation(Rounded(50), replace(EXACT, gradient=gradient), sweep=sweep)
    assert _names(evaluation)[0] == "unusable-gradients"
    (finding,) = (finding for finding in evaluation.findings if finding.name == "unusable-gradients")
    assert "100.0 %" in finding.message
    assert "traced, which gives the forward pass (Rounded, by round) a slope" in finding.advice
    assert finding.samples == tuple(range(40))


MASK = torch.ones(12, 4)
MASK[:9] = 0
LOWER, UPPER = torch.zeros(12, 4), torch.ones(12, 4)
LOWER[:2], UPPER[:2] = 0.5, 0.5


@pytest.mark.parametrize(
    ("threat", "fixed"),
    [
        (ThreatModel("l2", 0.3), 0),
        (ThreatModel("l2", 0.0), 12),
        (ThreatModel("l2", 0.3, mask=MASK), 9),
        (ThreatModel("linf", 0.3 * (1 - MASK)), 3),
        (ThreatModel("linf", torch.tensor([0.0, 0.1, 0.1, 0.1]), mask=torch.eye(4).repeat(3, 1)), 3),
        (ThreatModel("linf", 0.1, bounds=(LOWER, UPPER)), 2),
    ],
    ids=["all may change", "no budget", "a mask", "budgets", "both", "bounds"],
)
def test_samples_that_may_not_change_are_counted(threat: ThreatModel, fixed: int) -> None:
    x = torch.full((12, 4), 0.5)
    found = list(sign_of_no_room(threat, x))
    assert [finding.message.split(" samples")[0].split("in ")[-1] for finding in found] == (
        [f"{fixed} of the 12"] if fixed else []
    )
    images = Images(x, torch.zeros(12, dtype=torch.int64))
    evaluation = evaluate(model_job("toy", linear_model(3, (4,)).float(), images, threat, [EXACT]))
    assert ("no-room" in _names(evaluation)) == bool(fixed)


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


class Tired(nn.Module):
    """Answers with the class of the clean inputs once it has been asked ``patience`` times."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self.linear, self.left = linear_model(3, (10,)).float(), patience

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        scores: Tensor = self.linear(x)
        return scores if self.left > 0 else scores + 1e4 * self.linear(torch.full_like(x, 0.5))


def test_successes_that_do_not_hold_are_counted_and_reported() -> None:
    """They are robust in the number, as before; now the table says how many there are."""
    x = torch.rand(40, 10, generator=torch.Generator().manual_seed(0))
    labels = linear_model(3, (10,)).float()(x).argmax(1)
    same = labels == int(linear_model(3, (10,)).float()(torch.full((1, 10), 0.5)).argmax())
    attack = PGD(steps=10, random_start=False)
    awake = run(attack, linear_model(3, (10,)).float(), x[same], labels[same], LINF)
    assert bool(awake.success.any())
    assert not bool(awake.lost.any())
    asked: list[int] = []
    counter = Tired(10**6)
    run(attack, counter, x[same], labels[same], LINF, progress=lambda *_: asked.append(10**6 - counter.left))
    tired = run(attack, Tired(asked[-1] + 1), x[same], labels[same], LINF)
    assert torch.equal(tired.lost, awake.success)
    assert not bool(tired.success.any())
    lost = replace(_evaluation(linear_model(3, (10,)).float(), EXACT).rows[0], lost=int(tired.lost.sum()))
    evaluation = replace(_evaluation(linear_model(3, (10,)).float(), EXACT), rows=(lost,))
    (finding,) = signs_of_lost_successes(evaluation)
    assert f"{int(tired.lost.sum())} of 40" in finding.message


def test_an_attack_of_too_few_steps_is_named() -> None:
    short = Recipe(name="exact", attack=PGD(steps=1, step_size=0.12, random_start=False))
    evaluation = _evaluation(linear_model(3, (10,)).float(), short)
    looked, fallen = evaluation.rows[0].more_steps
    assert 4 < fallen <= looked == 16
    assert "few-steps" in _names(evaluation)
    assert "few-steps" not in _names(_evaluation(linear_model(3, (10,)).float(), EXACT))
