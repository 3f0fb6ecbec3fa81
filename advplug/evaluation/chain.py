"""How a job is cut: a chain is one row on one slice of the samples, worked through stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from advplug.attack import Attack
from advplug.engine.problem import Problem

SLICE = 256
"""Samples of a slice. Fixed: rounding in a model may depend on the batch, and the same cut gives the same bits."""


class Chain(NamedTuple):
    """Samples ``start`` to ``stop`` of the row of recipe number ``recipe``."""

    recipe: int
    start: int
    stop: int


def chains_of(recipe: int, problem: Problem, attack: Attack, size: int = SLICE) -> Iterator[Chain]:
    """The chains of one row: slices of ``size`` samples, or one of all where the attack learns from all of them."""
    count = len(problem.inputs)
    if _learns(attack, problem):
        size = count
    for start in range(0, count, size):
        yield Chain(recipe, start, min(start + size, count))


def _learns(attack: Attack, problem: Problem) -> bool:
    """Whether the attack prepares something for all samples at once, such as a model trained for it."""
    stages = [stage.attack for stage in attack.stages(problem) or ()]
    return any(each.needs_auxiliary or type(each).prepare is not Attack.prepare for each in (attack, *stages))
