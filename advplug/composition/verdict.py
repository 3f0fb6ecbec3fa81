"""What a search says in the end: what is left of which half, at what cost, and what the reader must know."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from advplug.composition.sequence import chosen_half, lengthened, stage_name
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.records.composition import Left, Sentence, Trial


def left_on(rows: Tensor, standard: AttackResult, found: AttackResult) -> Left:
    """What is left of the samples ``rows``, bool (N,); of a random model the expectation over its draws."""
    clean = standard.correct.double()
    shares = {
        name: clean * (1 - result.success_rate.double()) for name, result in (("standard", standard), ("search", found))
    }
    count = int(rows.sum())
    mean = {name: float(values[rows].mean()) if count else 0.0 for name, values in {"clean": clean, **shares}.items()}
    return Left(samples=count, **mean)


def halves(problem: Problem, standard: AttackResult, found: AttackResult) -> dict[str, Left]:
    """What is left of the half that sentences were chosen on, of the other, and of all."""
    chosen = chosen_half(problem, standard)
    groups = {"chosen_on": chosen, "held_out": ~chosen, "together": torch.ones_like(chosen)}
    return {name: left_on(rows, standard, found) for name, rows in groups.items()}


def winning(found: AttackResult, trials: Sequence[Trial]) -> tuple[Sentence, ...]:
    """The sentences that broke samples which stood until then, in their order."""
    names = {stage_name(trial.part, trial.sentence): lengthened(trial.sentence) for trial in trials}
    broke = {number for number in found.stage[found.success].tolist() if number >= 0}
    return tuple(names[name] for number, name in enumerate(found.stages) if number in broke and name in names)


def remark(standard: AttackResult, found: AttackResult, trials: Sequence[Trial], chosen: Tensor) -> str:
    """What the reader must know besides; "" where a sentence was found and tried on held-out samples, too."""
    standing = standard.standing
    if not bool(standard.correct.any()):
        return "The model is right on none of the samples: there is nothing to attack."
    if not bool(standing.any()):
        return "standard breaks all samples: there was nothing left to search for."
    if bool((found.success & (found.stage >= len(standard.stages))).any()):
        alone = not bool((standing & ~chosen).any())
        return "standard leaves one sample, which the search chose on: none that it left is held out." if alone else ""
    reasons = {trial.reason for trial in trials if trial.reason}
    if trials and reasons and all(trial.reason for trial in trials):
        return f"Found nothing better than standard: no sentence could run, such as for {min(reasons)}."
    count = f"{len(trials)} trial{'s' * (len(trials) != 1)}"
    return f"Found nothing better than standard in {count}, which is no proof that there is nothing."
