"""One sentence on some of the samples."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.composition.words import Words
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.engine.stages import run_attack
from advplug.engine.verification import TOLERANCE
from advplug.errors import InvalidInput, RobustnessWarning
from advplug.plugins.manager import load
from advplug.records.composition import Sentence
from advplug.spelling import read_loss
from advplug.tracking import Step, margins

QUERIES = 4
"""Queries of an attack that sees scores alone, for each step of one that sees gradients."""

JUDGING = 2
"""Passes of a trial that its attack is not charged for: the decision on the clean input, and that on what it found."""


class Outcome(NamedTuple):
    """What a sentence did to n samples: see :class:`advplug.records.composition.Trial`, whose fields these are."""

    broken: float
    margin: float
    queries: float
    seconds: float
    reason: str = ""
    backwards: float = 0.0


@dataclass(frozen=True)
class Bench:
    """Where sentences are tried.

    Parameters
    ----------
    problem, words: the samples and the choices.
    clean: the margin of each sample before any attack, (N,).
    rate: the share of draws in which each fell before, (N,); 0 unless the model is random.
    """

    problem: Problem
    words: Words
    clean: Tensor
    rate: Tensor

    @classmethod
    def of(cls, problem: Problem, words: Words, rate: Tensor) -> Bench:
        """The bench for ``problem``."""
        with problem.gateway() as gateway:
            return cls(problem, words, margins(gateway.scores(gateway.cast(problem.inputs)), problem.labels), rate)

    def attempt(self, sentence: Sentence, rows: Tensor) -> Outcome:
        """Try ``sentence`` on the samples ``rows``, int64 (n,). What fails breaks nothing, and says why."""
        start = time.perf_counter()
        left = _LeastMargins(self.problem.at(rows), self.clean[rows])
        try:
            attack, problem = self.spelled_out(sentence, self.problem)
            options = replace(problem.options, progress=None, listen=left)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RobustnessWarning)  # of a single sentence: the verdict says what holds
                result = run_attack(attack, replace(problem.at(rows), options=options))
        except Exception as error:  # whatever an attack of anybody's makes of a model of anybody's is an outcome
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            return Outcome(0.0, 1.0, 0.0, time.perf_counter() - start, reason)
        broken = newly_broken(result, self.rate[rows])
        backwards = float(result.backwards.double().mean())
        seconds = time.perf_counter() - start
        return Outcome(broken, left.mean(result), passes(result, problem), seconds, backwards=backwards)

    def spelled_out(self, sentence: Sentence, problem: Problem) -> tuple[Attack, Problem]:
        """The attack that ``sentence`` means, and what it makes of ``problem``.

        Raises
        ------
        InvalidInput: the attack refuses a setting, or the sentence has a gradient that is none of the words.
        """
        if sentence.gradient not in self.words.gradients:
            raise InvalidInput(f"gradient {sentence.gradient!r} is not among the words: search again")
        attack = load(f"attack:{sentence.attack}")(**sentence.settings)
        targets: dict[str, Any] = {} if sentence.targets is None else {"num_targets": int(sentence.targets)}
        return attack, replace(
            problem,
            loss=None if sentence.loss is None else read_loss(sentence.loss),
            gradient=self.words.gradients[sentence.gradient],
            options=replace(problem.options, restarts=sentence.restarts),
            **targets,
        )


def newly_broken(result: AttackResult, rate: Tensor) -> float:
    """The share that ``result`` broke of what stood before, where each sample fell at ``rate``, (n,): 0 to 1.

    A sample counts as whole or not at all, since the rates of a random model are noise where few succeed. One that fell
    in more than half of the draws before counts as far as it stood, and falls as far as its rate rose.
    """
    fell, before = rate > 0.5, rate.double()
    whole = torch.where(fell, 1 - before, 1.0)
    broken = torch.where(fell, result.success_rate.double() - before, result.success.double())
    return max(0.0, float(broken.sum() / whole.sum()))


def settings_within(name: str, settings: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """``settings`` of the attack ``name``, with as many steps as the cost limit allows.

    An attack that searches over a constant makes fewer steps in each round of it. One without steps is left as long as
    it is, but for its queries.
    """
    factory = load(f"attack:{name}")
    known = {field.name for field in fields(factory)}
    if "steps" in known:
        longest = factory(**{**settings, "steps": steps}).planned_steps
        return {**settings, "steps": max(2, steps * steps // max(longest, steps))}
    return {**settings, "queries": QUERIES * steps} if "queries" in known else dict(settings)


def passes(result: AttackResult, problem: Problem) -> float:
    """Forward and backward passes for each sample of ``result``, those of its judgement included."""
    draws = problem.options.draws if problem.model.stochastic else 1
    return float((result.forwards + result.backwards).double().mean()) + JUDGING * draws


@contextmanager
def counting(model: nn.Module) -> Iterator[list[int]]:
    """How many inputs each call of ``model`` gets inside the block."""
    rows: list[int] = []

    def count(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows.extend(len(part) for part in inputs[:1])

    handle = model.register_forward_pre_hook(count)
    try:
        yield rows
    finally:
        handle.remove()


class _LeastMargins:
    """Hears of every evaluation: the least margin of each sample within its budget, as a share of the one before."""

    def __init__(self, problem: Problem, clean: Tensor) -> None:
        self.place = {number: place for place, number in enumerate(problem.samples.tolist())}
        self.clean = clean.double().clamp(min=1e-12)
        self.least, self.epsilon = self.clean.clone(), problem.epsilon

    def __call__(self, step: Step) -> None:
        places = torch.tensor([self.place[number] for number in step.samples.tolist()], device=self.least.device)
        margin = step.margin.double().nan_to_num(torch.inf)
        if self.epsilon is not None:  # attacks for the least norm look beyond it
            margin = torch.where(step.distance <= self.epsilon[places] * (1 + TOLERANCE), margin, torch.inf)
        self.least.scatter_reduce_(0, places, margin, "amin")

    def mean(self, result: AttackResult) -> float:
        """The mean over the samples, 0 to 1; 0 where ``result`` has a success."""
        share = (self.least / self.clean).clamp(0, 1)
        return float(torch.where(result.success, 0.0, share).mean())
