"""Random defenses over fresh draws, and detectors at fixed false positives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.engine.task import Task
from advplug.evaluation import Evaluation, Row, evaluate, model_job
from advplug.evaluation.diagnostics.intervals import wilson
from advplug.model import Decision, DefendedModel
from advplug.report.summary import verdict
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.2)
X = torch.rand(30, 10, generator=torch.Generator().manual_seed(0))
PLAIN = Recipe(name="pgd", attack=PGD(steps=5))


class Coin(DefendedModel):
    """Wrong with probability ``rate`` in each draw, whatever the input."""

    stochastic = True

    def __init__(self, rate: float) -> None:
        super().__init__(3)
        self.rate, self.linear = rate, linear_model(3, (10,)).float()

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.zeros(len(x), 3) + 0 * x.sum()
        return scores + torch.where(torch.rand(len(x), 1) < self.rate, torch.eye(3)[1], torch.eye(3)[0])


class Steady(Coin):
    """The same without the coin."""

    stochastic = False

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)  # type: ignore[no-any-return]


class Counted(PGD):
    """Counts how often it runs."""

    runs: ClassVar[int] = 0

    def run(self, task: Task) -> None:
        Counted.runs += 1
        super().run(task)


class Guarded(DefendedModel):
    """Rejects what lies far from the middle of the box in its first value."""

    def __init__(self) -> None:
        super().__init__(3)
        self.linear, self.thresholds = linear_model(3, (10,)).float(), torch.tensor([0.4])

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)  # type: ignore[no-any-return]

    def detector_scores(self, x: Tensor) -> Tensor:
        return (x[:, :1] - 0.5).abs()

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), self.detector_scores(x)[:, 0] <= self.thresholds[0])


def evaluation(model: DefendedModel, labels: Tensor, draws: int = 16, auxiliary: Images | None = None) -> Evaluation:
    job = model_job("toy", model.eval(), Images(X, labels), LINF, [PLAIN])
    return evaluate(replace(job, draws=draws, auxiliary=auxiliary))


def test_mean_majority_and_worst_are_those_of_the_coin() -> None:
    (row,) = evaluation(Coin(0.2), torch.zeros(30, dtype=torch.int64), draws=64).rows
    figures = row.randomised
    assert figures["draws"] == 64
    assert figures["mean"] == pytest.approx(0.8, abs=0.08)
    assert figures["majority"] > 0.9
    assert figures["worst"] == 0
    for name in ("mean", "majority", "worst"):
        assert figures[f"{name}_interval"] == list(wilson(figures[name], 30))


def test_one_draw_in_each_worst_case_is_ordered_and_a_steady_model_has_none() -> None:
    figures = evaluation(Coin(0.1), torch.zeros(30, dtype=torch.int64)).rows[0].randomised
    assert figures["worst"] < figures["mean"] < figures["majority"]

    assert evaluation(Steady(0), torch.zeros(30, dtype=torch.int64)).rows[0].randomised == {}


def test_what_noise_alone_gets_right_does_not_save_a_random_model() -> None:
    found = evaluation(Coin(0.2), torch.zeros(30, dtype=torch.int64))
    adaptive = replace(found.rows[0], role="adaptive", robust_accuracy=0.3)

    def left(majority: float) -> Evaluation:
        row = replace(adaptive, randomised={**adaptive.randomised, "majority": majority})
        return replace(found, claim="It is random.", rows=(row,), clean_accuracy=0.6)

    assert left(0.05).broken
    assert not left(0.06).broken
    assert "The majority of fresh draws is right on 5.0 % of the samples." in verdict(left(0.05))

    steady = replace(left(0.0), rows=(replace(adaptive, randomised={}),))
    assert not steady.broken
    assert "majority" not in verdict(steady)


def test_the_figures_come_back_from_json() -> None:
    for model in (Coin(0.3), Guarded()):
        (row,) = evaluation(model, torch.zeros(30, dtype=torch.int64)).rows
        assert Row.from_figures(json.loads(json.dumps(row.figures()))) == row


@pytest.mark.parametrize("random", [True, False])
def test_a_stored_row_of_a_random_model_is_of_its_number_of_draws(tmp_path: Path, random: bool) -> None:
    """Its figures are those of so many draws; the row of a steady model has none, and is read back."""

    def judged(draws: int, folder: Path | None) -> tuple[Row, bool]:
        Counted.runs = 0
        model, recipe = (Coin if random else Steady)(0.2).eval(), replace(PLAIN, attack=Counted(steps=5))
        job = model_job("toy", model, Images(X, torch.zeros(30, dtype=torch.int64)), LINF, [recipe])
        (row,) = evaluate(replace(job, draws=draws, run_dir=folder)).rows
        return row, Counted.runs > 0

    judged(16, tmp_path)
    again, attacked = judged(64, tmp_path)
    assert attacked == random
    assert again.randomised == judged(64, None)[0].randomised
    if random:
        assert again.randomised["draws"] == 64
    for draws in (16, 64):
        row, attacked = judged(draws, tmp_path)
        assert not attacked
        assert row.randomised.get("draws") == (draws if random else None)


@pytest.mark.parametrize("held_out", [False, True])
def test_false_positives_are_those_of_clean_data(held_out: bool) -> None:
    model = Guarded()
    own = torch.full((50, 10), 0.5)
    own[:20, 0] = 1.0
    auxiliary = Images(own, torch.zeros(50, dtype=torch.int64)) if held_out else None
    (row,) = evaluation(model, model(X).argmax(1), auxiliary=auxiliary).rows
    figures = row.rejection
    rejected = 0.4 if held_out else float((model.detector_scores(X) > 0.4).double().mean())
    assert (figures["held_out"], figures["clean"]) == (held_out, 50 if held_out else 30)
    assert figures["false_positives"] == pytest.approx(rejected)
    assert figures["false_positives_interval"] == list(wilson(rejected, figures["clean"]))


def test_success_falls_as_more_clean_inputs_are_given_up() -> None:
    model = Guarded()
    (row,) = evaluation(model, model(X).argmax(1)).rows
    figures = row.rejection
    assert 0 < figures["joint"] <= 1
    assert figures["success_at"]["50%"] <= figures["success_at"]["5%"] <= figures["joint"] + 1e-9
    assert figures["roc"] == sorted(figures["roc"])
    assert figures["roc"][0] == [0, 0]
    assert figures["roc"][-1] == [1, 1]


@pytest.mark.parametrize(
    ("share", "trials", "expected"), [(0.5, 10, (0.2366, 0.7634)), (0, 20, (0, 0.1611)), (0, 0, (0, 1))]
)
def test_intervals_are_those_of_wilson(share: float, trials: int, expected: tuple[float, float]) -> None:
    assert wilson(share, trials) == pytest.approx(expected, abs=1e-4)
