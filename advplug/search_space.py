"""What a search for an adaptive attack may try of an attack: read from the types of its fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from advplug.errors import InvalidInput
from advplug.hyperparameters import Interval

AROUND = 4.0
"""A number is tried from a quarter of its default up to four times as much."""


@dataclass(frozen=True)
class Choices:
    """One of several values: truth values, numbers, texts or None."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InvalidInput("values is (): give at least one")


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included and above zero, on a logarithmic scale."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            raise InvalidInput(f"range from {self.low} to {self.high}: give finite numbers above zero, low <= high")


Space = Mapping[str, "Choices | Range"]
"""Parameter of an attack -> what to try."""


def space_of(attack: type[Any]) -> Space:
    """The space of a dataclass: its truth values, its literals, and its fractional numbers around their defaults.

    Whole numbers say how long an attack works, which the cost limit of the search decides; they are left as they are,
    and so is a number without a positive default.
    """
    hints = get_type_hints(attack, include_extras=True)
    tried = {field.name: _tried(hints[field.name], field.default) for field in fields(attack) if field.init}
    return {name: space for name, space in tried.items() if space is not None}


def _tried(hint: Any, default: Any) -> Choices | Range | None:
    """What to try of a field with that type and default, None for nothing."""
    plain, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if plain is bool:
        return Choices((default, not default)) if isinstance(default, bool) else None
    literals = _literals(plain)
    if literals:
        return Choices(literals)
    if plain is not float or not isinstance(default, int | float) or not 0 < default < math.inf:
        return None
    low, high = float(default) / AROUND, float(default) * AROUND
    for interval in (extra for extra in extras if isinstance(extra, Interval)):
        low, high = max(low, float(interval.low)), min(high, float(interval.high))
        if not interval.holds(high):  # an end that does not belong to it
            high = (float(default) + high) / 2
    legal = all(extra.holds(end) for extra in extras if hasattr(extra, "holds") for end in (low, high))
    return Range(low, high) if legal and low < high else None


def _literals(hint: Any) -> tuple[Any, ...]:
    """The values of a literal, of one that may be None too; empty for any other type."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else ()
    named = [value for part in parts for value in _literals(part)]
    rest = [part for part in parts if get_origin(part) is not Literal]
    return (*((None,) if rest else ()), *named) if named and rest in ([], [NoneType]) else ()
