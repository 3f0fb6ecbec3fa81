"""The work itself: one stage of one chain. Every executor runs it, wherever its workers are."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from advplug.adaptive import Recipe
from advplug.engine.problem import Problem, Progress
from advplug.engine.result import AttackResult
from advplug.engine.stages import advance, attack_within
from advplug.evaluation.chain import Chain
from advplug.evaluation.curve import least_lengths
from advplug.evaluation.problems import as_findings, problem_of
from advplug.evaluation.storage.piece import Piece
from advplug.records.job import Job


class Worker:
    """Works on the chains of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._problems: dict[int, Problem] = {}

    def advance(self, chain: Chain, before: bytes | None, progress: Progress | None = None) -> Piece:
        """The chain after one stage more, or one budget of a sweep; ``before`` is its piece so far.

        Raises
        ------
        NoGradient: the attack needs a gradient, and the model gives none.
        NonFiniteLogits: the model returned NaN or infinite logits.
        """
        recipe, problem = self.job.recipes[chain.recipe], self.problem(chain)
        tracker = self.job.tracker
        listen = None if tracker is None else tracker.of_attack(recipe.name)
        problem = replace(problem, options=replace(problem.options, progress=progress, listen=listen))
        known = None if before is None else Piece.from_bytes(before).to(problem.inputs.device)
        start = time.perf_counter()
        with torch.inference_mode(False), as_findings():
            piece = _advanced(self.job, recipe, problem, known)
            if piece.done:
                piece = _looked_at(problem, piece)
        spent = 0.0 if known is None else known.seconds
        return replace(piece, seconds=spent + time.perf_counter() - start)

    def problem(self, chain: Chain) -> Problem:
        """The problem on the samples of a chain."""
        if chain.recipe not in self._problems:
            with as_findings():
                self._problems[chain.recipe] = problem_of(self.job, self.job.recipes[chain.recipe])
        whole = self._problems[chain.recipe]
        return whole.at(torch.arange(chain.start, chain.stop, device=whole.inputs.device))


def budgets_of(job: Job) -> tuple[float, ...]:
    """The budgets at which every attack runs one after the other; empty where it runs once."""
    return (*job.sweep, job.threat.epsilon) if job.sweep and job.threat.epsilon is not None else ()


def _advanced(job: Job, recipe: Recipe, problem: Problem, known: Piece | None) -> Piece:
    before, budgets = None if known is None else known.result, budgets_of(job)
    count = len(problem.inputs)
    standing = problem.inputs.new_zeros((0, count), dtype=torch.float64) if known is None else known.standing
    passes = problem.labels.new_zeros((0, count)) if known is None else known.passes
    if budgets:
        result = attack_within(recipe.attack, problem, budgets[len(standing)], before)
        passes = torch.cat((passes, result.forwards[None]))
        if before is not None:  # what a smaller budget broke is not attacked again: this figure cost the passes of all
            spent = {name: getattr(before, name) + getattr(result, name) for name in ("forwards", "backwards")}
            result = replace(result, **spent)
        left = result.correct * (1 - result.success_rate)
        standing = torch.cat((standing, left.double()[None]))
        done = len(standing) == len(budgets)
    else:
        result, done = advance(recipe.attack, problem, before)
    return Piece(
        start=int(problem.samples[0]),
        result=result,
        standing=standing,
        passes=passes,
        predicted=torch.full_like(problem.labels, -1),
        smallest=torch.full_like(result.distance, torch.inf),
        seconds=0.0,
        done=done,
    )


def _looked_at(problem: Problem, piece: Piece) -> Piece:
    """With what the model answers to the adversarials, and what they leave when shrunk."""
    result: AttackResult = piece.result
    with problem.gateway() as gateway:
        predicted = gateway.decide(gateway.cast(result.adversarials)).labels
        return replace(piece, predicted=predicted, smallest=least_lengths(problem, result, gateway))
