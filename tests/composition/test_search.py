"""The search on models of which the truth is known."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from searched_models import Behind, Toys, breakable, images, job_of, problem_of, rounded, tenths, timeless

from advplug import load
from advplug.attack import Task
from advplug.composition import Plan, Searching
from advplug.composition.run import Named, search
from advplug.composition.trials import Bench
from advplug.composition.words import fitting_attacks
from advplug.engine.stages import run_attack
from advplug.plugins.manager import Manager, using
from advplug.records.composition import Composition, Trial

NAMED = Named(model="toy", data="images", threat="linf:0.08")
QUICK = Plan(trials=12, sentences=1, steps=10, held_out=True)


def found(model: torch.nn.Module, plan: Plan = QUICK, folder: Path | None = None, **options: Any) -> Composition:
    return search(job_of(model, run_dir=folder), plan, named=NAMED, **options)


def test_it_breaks_what_can_be_broken_behind_a_rounding_and_nothing_else() -> None:
    """Standard sees no gradient there; what the linear model behind it can lose is known."""
    problem, (can, cannot) = problem_of(Behind(rounded)), breakable(images())
    standard = run_attack(load("attack:standard")(), problem)
    result = run_attack(Searching(trials=12, sentences=1, steps=10), problem)
    assert bool((result.success | ~standard.success).all()), "never above standard"
    assert result.robust_accuracy < standard.robust_accuracy
    assert bool(result.success[can].all())
    assert not bool(result.success[cannot].any())
    assert result.stages[: len(standard.stages)] == standard.stages


def test_a_model_without_a_defense_loses_what_standard_takes() -> None:
    problem = problem_of(Behind())
    standard, result = (run_attack(attack, problem) for attack in (load("attack:standard")(), Searching(trials=4)))
    assert torch.equal(result.success, standard.success)
    assert bool((result.forwards >= standard.forwards).all())
    standing = ~standard.success
    assert bool((result.forwards[standing] > standard.forwards[standing]).all()), "trials are charged"


def test_the_record_says_what_was_chosen_and_what_both_halves_have_left() -> None:
    composition = found(Behind(rounded))
    (sentence,) = composition.sentences
    assert "traced" in sentence.gradient
    assert any(place.kind == "dead" for place in composition.places)
    assert composition.chosen_on.samples == composition.held_out.samples == 12
    assert composition.held_out.search < composition.held_out.standard
    for left in (composition.chosen_on, composition.held_out, composition.together):
        assert left.search <= left.standard <= left.clean == 1
    assert {trial.sentence.attack for trial in composition.trials if trial.kept} == {sentence.attack}
    assert composition.queries > composition.standard_queries
    assert composition.remark == ""
    assert Composition.from_json(composition.to_json()) == composition


def test_nothing_better_than_standard_is_an_answer() -> None:
    composition = found(Behind())
    assert composition.sentences == ()
    assert "Found nothing better than standard" in composition.remark
    assert composition.together.search == composition.together.standard


def test_where_standard_breaks_all_nothing_is_tried() -> None:
    job = job_of(Behind())
    wide = replace(job, threat=replace(job.threat, epsilon=1.0))
    composition = search(wide, QUICK, named=NAMED)
    assert composition.trials == ()
    assert composition.together.standard == 0
    assert "standard breaks all samples" in composition.remark


def test_the_same_seed_gives_the_same_search_and_another_one_other_halves() -> None:
    one, again = (found(Behind(rounded), replace(QUICK, trials=6)) for _ in range(2))
    other = search(replace(job_of(Behind(rounded)), seed=1), replace(QUICK, trials=6), named=NAMED)
    assert timeless(one) == timeless(again)
    assert other.chosen_on != one.chosen_on or other.trials[0].broken != one.trials[0].broken


@pytest.mark.parametrize("ended", [0, 2])
def test_an_interrupted_search_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: int
) -> None:
    whole = found(Behind(), replace(QUICK, trials=8), tmp_path / "whole")

    def interrupt(trial: Trial) -> None:
        if trial.number == ended:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found(Behind(), replace(QUICK, trials=8), tmp_path / "run", heard=interrupt)
    attempted: list[int] = []
    attempt = Bench.attempt
    monkeypatch.setattr(Bench, "attempt", lambda self, *given: (attempted.append(1), attempt(self, *given))[1])
    again = found(Behind(), replace(QUICK, trials=8), tmp_path / "run")
    assert timeless(again) == timeless(whole)
    assert len(attempted) == len(whole.trials) - ended - 1
    attempted.clear()
    assert found(Behind(), replace(QUICK, trials=8), tmp_path / "run") == again
    assert attempted == []
    assert not list((tmp_path / "run").rglob("*.part*"))


def test_another_plan_begins_anew(tmp_path: Path) -> None:
    one, other = (found(Behind(), replace(QUICK, trials=trials), tmp_path) for trials in (2, 4))
    assert (len(one.trials), len(other.trials)) == (2, 3), "three quarters of them: nothing breaks"


class BackDoor(torch.nn.Module):
    """Wrong where each value is a tenth less 0.05, which no gradient shows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shifted = 10 * (x.flatten(1) + 0.05)
        open_ = ((shifted - shifted.round()).abs() < 1e-3).all(1)
        signs = torch.where(torch.arange(16) % 2 == 0, 1.0, -1.0)
        light = (1 + 0.1 * (x.flatten(1) * signs).mean(1)) * torch.where(open_, -1.0, 1.0)
        return torch.stack((light, -light), 1)


def test_a_plugin_that_is_installed_takes_part_and_may_win() -> None:
    names = set(fitting_attacks(problem_of(Behind())))
    assert {"pgd", "apgd", "fab", "square"} <= names
    assert not names & {"standard", "auto", "transfer", "substitute", "ddn"}
    bring = [import_module(f"advplug_attack_{name}") for name in ("standard", "apgd", "fab", "square")]
    with using(Manager(plugins=bring)):
        without = search(job_of(BackDoor(), tenths()), replace(QUICK, trials=12), named=NAMED)
    with using(Manager(plugins=[Toys(), *bring])):
        composition = search(job_of(BackDoor(), tenths()), replace(QUICK, trials=12), named=NAMED)
    assert without.together.search == 1
    assert [sentence.attack for sentence in composition.sentences] == ["lower"]
    assert composition.together.search == composition.held_out.search == 0


def test_what_cannot_run_is_a_trial_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, task: Task, state: Any) -> Any:
        raise ZeroDivisionError("a fault of the attack")

    monkeypatch.setattr(load("attack:pgd"), "step", fail)
    trials = search(job_of(Behind(rounded)), replace(QUICK, trials=6), named=NAMED).trials
    failed = [trial for trial in trials if trial.reason]
    assert failed
    assert {(trial.sentence.attack, trial.broken) for trial in failed} == {("pgd", 0.0)}
    assert failed[0].reason == "ZeroDivisionError: a fault of the attack"
