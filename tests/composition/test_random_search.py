"""The search on a random model goes on with what falls in most draws, and costs little where it finds nothing."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from searched_models import Toys, images, job_of, problem_of, tenths
from torch import Tensor

from advplug.composition import Plan
from advplug.composition.plan import LUCK
from advplug.composition.run import Named, search
from advplug.composition.trials import newly_broken
from advplug.engine.result import AttackResult
from advplug.model import DefendedModel
from advplug.plugins.manager import Manager, using
from advplug.records.composition import Composition

NAMED = Named(model="toy", data="images", threat="linf:0.08")
QUICK = Plan(trials=8, sentences=1, steps=10, held_out=True)


class Shaky(DefendedModel):
    """Right on tenths, wrong on tenths less 0.05, and wrong in 70 % of the draws anywhere else."""

    stochastic = True

    def __init__(self, elsewhere: float = 0.7) -> None:
        super().__init__(2)
        self.elsewhere = elsewhere

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        on, open_ = (((10 * (flat + by)) % 1 - 0.5).abs().amin(1) > 0.499 for by in (0.0, 0.05))
        share = torch.where(on, 0.0, torch.where(open_, 1.0, self.elsewhere))
        wrong = (torch.rand(len(x)) < share).float() * (1 + 0.1 * flat.mean(1))
        return torch.stack((1 - wrong, wrong), 1)


def found(model: DefendedModel, plan: Plan = QUICK, folder: Path | None = None) -> Composition:
    bring = [import_module(f"advplug_attack_{name}") for name in ("standard", "apgd", "pgd")]
    with using(Manager(plugins=[Toys(), *bring])):
        return search(job_of(model, tenths(), run_dir=folder), plan, named=NAMED)


def test_what_falls_in_most_draws_is_searched_until_it_falls_in_all() -> None:
    composition = found(Shaky(), replace(QUICK, trials=32, cost=50.0))
    assert 0.1 < composition.together.standard < 0.5, "every sample is broken in most draws"
    assert composition.together.search == composition.held_out.search == 0
    (sentence,) = composition.sentences
    assert sentence.attack == "lower"
    best = max(composition.trials, key=lambda trial: trial.broken)
    assert (best.sentence.attack, best.broken) == ("lower", 1)


def test_where_nothing_is_found_it_ends_after_few_passes_and_all_are_counted(tmp_path: Path) -> None:
    composition = found(Shaky(elsewhere=0.0), folder=tmp_path)
    assert found(Shaky(elsewhere=0.0), folder=tmp_path) == composition, "what led to no stage is read back, too"
    assert composition.sentences == ()
    assert composition.together.search == composition.together.standard
    passes = sum(trial.queries * trial.samples for trial in composition.trials) / composition.together.samples
    assert passes > 0
    assert composition.queries == pytest.approx(composition.standard_queries + passes)
    most = max(trial.queries * trial.samples for trial in composition.trials) / composition.together.samples
    assert passes <= QUICK.cost * composition.standard_queries + most, "it ends with the trial that uses them up"


def test_a_trial_scores_what_the_rate_gained_where_the_sample_fell_already() -> None:
    problem = problem_of(Shaky(), images(4))
    nothing = AttackResult.empty(problem.inputs, torch.ones(4).bool(), torch.zeros(4))
    rate = torch.tensor([0.75, 0.75, 0.0, 0.25])

    def broken(*after: float) -> float:
        rates = torch.tensor(after)
        return newly_broken(replace(nothing, success_rate=rates, success=rates > 0.5), rate)

    assert broken(1.0, 1.0, 1.0, 1.0) == 1
    assert broken(0.75, 0.75, 0.5, 0.5) == 0
    assert broken(1.0, 0.75, 0.0, 0.0) == pytest.approx(0.25 / 2.5)
    assert broken(0.75, 0.75, 0.0, 0.75) == pytest.approx(1 / 2.5)
    assert broken(0.25, 0.75, 0.0, 0.0) == 0, "less than before is nothing"
    assert 0 < LUCK < 0.25
