"""The next sentence of a sequence, each searched on what the ones before left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from advplug.attack import Course, Stage
from advplug.composition.halving import Winner, halve, rungs
from advplug.composition.journal import Journal
from advplug.composition.plan import LUCK, Plan
from advplug.composition.sampling import Sampler
from advplug.composition.trials import Bench, Outcome, counting
from advplug.composition.words import words_of
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.numerics.random_numbers import Noise
from advplug.records.composition import Place, Sentence
from advplug.tracing.examine import examine

LONGER = 2
"""How many times as many steps the sentence that won makes."""

FEW = 4
"""Samples that gradients are tried on where each is a mean over the draws of a random model."""

_PREFIX = "search "
_STREAM = 1 << 20  # a round of random numbers that no attack has


class Tries(Protocol):
    """Where sentences are tried."""

    def turn_to(self, part: int, bench: Bench) -> None:
        """From now on sentences are for ``part`` of the sequence, on the samples of ``bench``."""

    def expect(self, sentences: Sequence[Sentence], samples: int) -> None:
        """What may be asked for next, on the first so many samples: whoever can may begin with it."""

    def outcome(self, sentence: Sentence, samples: int) -> Outcome:
        """What ``sentence`` does to the first so many samples."""
        ...


class Here:
    """Tries them in this process, each when it is asked for."""

    def turn_to(self, part: int, bench: Bench) -> None:
        self._bench = bench

    def expect(self, sentences: Sequence[Sentence], samples: int) -> None:
        pass

    def outcome(self, sentence: Sentence, samples: int) -> Outcome:
        return self._bench.attempt(sentence, torch.arange(samples, device=self._bench.problem.inputs.device))


def next_stage(problem: Problem, course: Course, plan: Plan, journal: Journal, tries: Tries) -> Stage | None:
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
        bench, places = look(problem.at(rows), plan, fell_before(before)[rows])
    journal.places = places if journal.places is None else journal.places
    tries.turn_to(part, bench)
    winner = search(bench, before, plan, journal, tries)
    if winner is not None and problem.model.stochastic and winner.outcome.broken <= LUCK:
        winner = None  # twice as many steps for each sample would cost more than the suite
    journal.kept(part, None if winner is None else winner.sentence)
    if winner is None:
        return None
    attack, chosen = bench.spelled_out(lengthened(winner.sentence), problem)
    return Stage(
        stage_name(part, winner.sentence),
        attack,
        chosen,
        _charge(journal, part, before, (sum(looked), bench.words.backwards)),
    )


def look(problem: Problem, plan: Plan, rate: Tensor) -> tuple[Bench, tuple[Place, ...]]:
    """Trace the model, and lay out what can be tried on the samples of ``problem``, which fell at ``rate``, (N,)."""
    few = torch.arange(min(FEW, len(problem.inputs)), device=problem.inputs.device)
    examination = examine(problem.at(few) if problem.model.stochastic else problem)
    return Bench.of(problem, words_of(problem, examination, traced=plan.traced), rate), examination.places


def search(bench: Bench, before: AttackResult, plan: Plan, journal: Journal, tries: Tries) -> Winner | None:
    """The best sentence on the samples of ``bench``, after the stages of ``before``.

    Those that are among these stages are not tried again: what they could break is broken.
    """
    earlier, spent, problem = searched(before), _passes(before), bench.problem
    part, count = 1 + len(earlier), len(problem.inputs)

    def is_new(sentence: Sentence) -> bool:
        return all(name != stage_name(number, sentence) for number, name in enumerate(earlier, 1))

    def attempt(sentence: Sentence, samples: int) -> Outcome:
        if not is_new(sentence):
            return Outcome(0.0, 1.0, 0.0, 0.0, "it is in the sequence already")
        return journal.outcome(part, sentence, samples, lambda: tries.outcome(sentence, samples))

    def expect(sentences: Sequence[Sentence], samples: int) -> None:
        waiting = [one for one in sentences if is_new(one) and not journal.knows(part, one, samples)]
        tries.expect(waiting, samples)

    sampler = Sampler(bench.words, plan.sampler, steps=plan.steps, seed=problem.options.seed + part)
    random = problem.model.stochastic
    return halve(
        sampler,
        attempt,
        rungs(count, halving=plan.halving),
        plan.trials,
        plan.passes(part, spent, count, stochastic=random),
        idle=plan.idle(part, spent, stochastic=random),
        luck=LUCK if random else 0.0,
        expect=expect,
    )


def candidates(problem: Problem, before: AttackResult, plan: Plan) -> Tensor:
    """The samples that sentences are tried on, int64 (n,), in a random order that the seed gives.

    Those of the chosen half that stand. Where all of these fell and others stand, those that the suite left there: what
    breaks them in another way may break the others. None where nothing stands.
    """
    standing = before.standing
    if not bool(standing.any()):
        return standing.nonzero().squeeze(1)
    if plan.held_out:
        half = chosen_half(problem, before)
        standing = standing & half if bool((standing & half).any()) else left_by_suite(before) & half
    return _shuffled(problem)[standing[_shuffled(problem)]][: plan.samples]


def chosen_half(problem: Problem, result: AttackResult) -> Tensor:
    """The half of the samples on which sentences are chosen, bool (N,), at any stage of ``result`` after the suite.

    Half of the samples that the suite left, and as many of the others as make it half of all. So there is something to
    choose on and something held out wherever the suite leaves two samples, and the search itself has no say in it.
    """
    order, left = _shuffled(problem), left_by_suite(result)
    standing = order[left[order]]
    chosen = standing[: -(-len(standing) // 2)]
    others = order[~left[order]][: -(-len(order) // 2) - len(chosen)]
    half = torch.zeros_like(left)
    half[torch.cat((chosen, others))] = True
    return half


def left_by_suite(result: AttackResult) -> Tensor:
    """The samples that stood after the suite, bool (N,)."""
    return result.standing_after(_suite(result))


def fell_before(result: AttackResult) -> Tensor:
    """The share of draws in which each sample fell before the sentence to come, float32 (N,).

    Of one that stands that is now; of others, which are tried again in another way, after the suite.
    """
    suite = torch.zeros_like(result.success_rate) if result.rates is None else result.rates[:, _suite(result) - 1]
    return torch.where(result.standing, result.success_rate, suite)


def _suite(result: AttackResult) -> int:
    """How many of the stages are those of the suite."""
    return sum(not name.startswith(_PREFIX) for name in result.stages)


def _shuffled(problem: Problem) -> Tensor:
    """The places of all samples in an order that the seed and their numbers give, int64 (N,)."""
    return Noise.of(problem.options.seed, problem.samples, _STREAM).uniform(0, (1,)).flatten().argsort(stable=True)


def searched(result: AttackResult) -> list[str]:
    """The names of the stages that a search chose."""
    return [name for name in (*result.stages, *result.left_out) if name.startswith(_PREFIX)]


def broken_last(result: AttackResult) -> bool:
    """Whether the last stage broke a sample; of a random model one in expectation, as less may be chance."""
    if result.rates is not None:
        return float((result.rates[:, -1] - result.rates[:, -2])[result.correct].double().sum()) >= 1
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


def _charge(journal: Journal, part: int, before: AttackResult, looked: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The passes of all trials of a part, and ``looked`` before them, in equal shares to all samples that stood.

    Both are pairs: forward and backward passes.
    """
    standing = before.standing
    trials = [trial for trial in journal.trials if trial.part == part]
    tried = sum(trial.backwards * trial.samples for trial in trials)
    forwards = looked[0] + sum(trial.queries * trial.samples for trial in trials) - tried
    backwards = looked[1] + tried
    count = int(standing.sum())
    shares = (torch.where(standing, math.ceil(whole / count), 0) for whole in (forwards, backwards))
    first, second = shares
    return first, second
