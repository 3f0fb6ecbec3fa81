"""Counts that somebody mistyped: refused before they cost hours or all of the memory."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from advplug.adaptive import Recipe
    from advplug.evaluation import Job

BUDGETS = 1000
"""Most budgets of one run."""

SEEDS = 2**63
"""Seeds, and sizes that torch computes with, lie below."""

LARGEST = 1e15
"""Largest bound or budget: float32 holds no sum of the squares of many larger ones."""

_DIGITS = 100

MOST = {
    "restarts": 10_000,
    "steps": 10_000_000,
    "search_steps": 10_000,
    "draws": 1_000_000,
    "queries": 10_000_000,
    "num_targets": 100_000,
}
"""Most of each count by its name, in a recipe, its attack or its gradient: far beyond what anybody waits for."""


def check_seed(seed: int) -> None:
    """Refuse a seed that torch does not take.

    Raises
    ------
    InvalidInput: the message says which it takes.
    """
    if not -SEEDS <= seed < SEEDS:
        raise InvalidInput(f"--seed {seed}: give a number of at most 63 bits")


def whole(text: str) -> int | None:
    """The number that ``text`` writes in digits; None if it writes another thing, or more digits than any count has."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


def check_counts(job: Job) -> None:
    """Refuse a recipe with a count beyond :data:`MOST`.

    Raises
    ------
    InvalidInput: the message names the attack, the count and the most.
    """
    for recipe in job.recipes:
        for holder in _holders(recipe):
            for name, most in MOST.items():
                count = getattr(holder, name, None)
                if isinstance(count, int) and count > most:
                    raise InvalidInput(f"{recipe.name}: {name} is {count}: give at most {most}")


def _holders(recipe: Recipe) -> list[Any]:
    """The recipe, its attack and its gradient, with what those wrap."""
    found: list[Any] = [recipe]
    for part in (recipe.attack, recipe.gradient):
        found += _nested(part)
    return found


def _nested(part: Any) -> list[Any]:
    if not is_dataclass(part):
        return [part]
    inner = [getattr(part, field.name) for field in fields(part)]
    return [part, *(one for value in inner if is_dataclass(value) for one in _nested(value))]
