"""The next sentence of a sequence, each searched on what the ones before left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from advplug.attack import Course, Stage
from advplug.composition.halving import Winner, halve, rungs
from advplug.composition.journal import Journal
from advplug.composition.plan import Plan
from advplug.composition.sampling import Sampler
from advplug.composition.trials import Bench, Outcome, counting
from advplug.composition.words import words_of
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.numerics.random_numbers import Noise
from advplug.records.composition import Sentence
from advplug.tracing.examine import examine

LONGER = 2
"""How many times as many steps the sentence that won makes."""

_PREFIX = "search "
_STREAM = 1 << 20  # a round of random numbers that no attack has


def next_stage(problem: Problem, course: Course, plan: Plan, journal: Journal) -> Stage | None:
    """The suite's stages, then the sentence that breaks most of what stands; None where a search has no point.

    That is where nothing stands, where there are as many sentences as planned, and after one that broke nothing.
    """
    before = course.before
    if course.planned is not None or before is None:
        return course.planned
    part = 1 + len(searched(before))
    rows = candidates(problem, before, plan)
    if part > plan.sentences or not len(rows) or (part > 1 and not broken_last(before)):
        return None
    with counting(problem.model) as looked:
        bench = look(problem.at(rows), plan, journal)
    winner = search(bench, searched(before), _passes(before), plan, journal)
    journal.kept(part, None if winner is None else winner.sentence)
    if winner is None:
        return None
    attack, chosen = bench.spelled_out(lengthened(winner.sentence), problem)
    return Stage(stage_name(part, winner.sentence), attack, chosen, _charge(journal, part, before, sum(looked)))


def look(problem: Problem, plan: Plan, journal: Journal) -> Bench:
    """Trace the model, and lay out what can be tried on the samples of ``problem``."""
    examination = examine(problem)
    journal.places = examination.places if journal.places is None else journal.places
    return Bench.of(problem, words_of(problem, examination, traced=plan.traced))


def search(bench: Bench, earlier: Sequence[str], spent: int, plan: Plan, journal: Journal) -> Winner | None:
    """The best sentence on the samples of ``bench``, after ``spent`` passes of the stages before it.

    Those that the stages ``earlier`` ran are not tried again: what they could break is broken.
    """
    part, problem = 1 + len(earlier), bench.problem
    count = len(problem.inputs)
    rows = torch.arange(count, device=problem.inputs.device)

    def attempt(sentence: Sentence, samples: int) -> Outcome:
        if any(name == stage_name(number, sentence) for number, name in enumerate(earlier, 1)):
            return Outcome(0.0, 1.0, 0.0, 0.0, "it is in the sequence already")
        return journal.outcome(part, sentence, samples, lambda: bench.attempt(sentence, rows[:samples]))

    sampler = Sampler(bench.words, plan.sampler, steps=plan.steps, seed=problem.options.seed + part)
    passes = plan.passes(part, spent, count, stochastic=problem.model.stochastic)
    return halve(sampler, attempt, rungs(count, halving=plan.halving), plan.trials, passes)


def candidates(problem: Problem, before: AttackResult, plan: Plan) -> Tensor:
    """The samples that sentences are tried on, int64 (n,), in a random order that the seed gives."""
    standing = before.correct & ~before.success
    if plan.held_out:
        standing &= chosen_half(problem)
    return _shuffled(problem)[standing[_shuffled(problem)]][: plan.samples]


def chosen_half(problem: Problem) -> Tensor:
    """The half of the samples on which sentences are chosen, bool (N,)."""
    half = torch.zeros(len(problem.inputs), dtype=torch.bool, device=problem.inputs.device)
    half[_shuffled(problem)[: -(-len(half) // 2)]] = True
    return half


def _shuffled(problem: Problem) -> Tensor:
    """The places of all samples in an order that the seed and their numbers give, int64 (N,)."""
    return Noise.of(problem.options.seed, problem.samples, _STREAM).uniform(0, (1,)).flatten().argsort(stable=True)


def searched(result: AttackResult) -> list[str]:
    """The names of the stages that a search chose."""
    return [name for name in (*result.stages, *result.left_out) if name.startswith(_PREFIX)]


def broken_last(result: AttackResult) -> bool:
    """Whether the last stage broke a sample."""
    return bool((result.stage == len(result.stages) - 1).any())


def stage_name(part: int, sentence: Sentence) -> str:
    """How the sentence that won stands in tables."""
    return f"{_PREFIX}{part}: {lengthened(sentence)}"


def lengthened(sentence: Sentence) -> Sentence:
    """The sentence with more steps than in a trial."""
    if "steps" not in sentence.settings:
        return sentence
    return replace(sentence, settings={**sentence.settings, "steps": LONGER * sentence.settings["steps"]})


def _passes(result: AttackResult) -> int:
    return int((result.forwards + result.backwards).sum())


def _charge(journal: Journal, part: int, before: AttackResult, looked: int) -> tuple[Tensor, Tensor]:
    """The passes of all trials of a part, and ``looked`` before them, in equal shares to all samples that stood."""
    standing = before.correct & ~before.success
    trials = [trial for trial in journal.trials if trial.part == part]
    backwards = sum(trial.backwards * trial.samples for trial in trials)
    forwards = looked + sum(trial.queries * trial.samples for trial in trials) - backwards
    count = int(standing.sum())
    shares = (torch.where(standing, math.ceil(whole / count), 0) for whole in (forwards, backwards))
    first, second = shares
    return first, second
