"""Hyper-parameters that check themselves: the type of a field says which values it takes.

    @dataclass(frozen=True, kw_only=True)
    class PGD(IterativeAttack[State]):
        steps: Count = 40
        step_size: Positive | None = None
        schedule: Literal["constant", "linear"] = "constant"

``PGD(steps=0)`` raises ``InvalidInput: steps is 0: give at least 1``. Numbers, booleans, texts, literals, None,
classes, tuples of one kind, unions of them and types with a :class:`Constraint` are checked; a field of any other type
takes whatever it is given.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from advplug.errors import InvalidInput


class Constraint(ABC):
    """What a number must be; stands in ``Annotated[float, ...]``."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether ``value`` meets it."""

    @abstractmethod
    def remedy(self) -> str:
        """What to give instead, such as ``give at least 1``."""


@dataclass(frozen=True)
class AtLeast(Constraint):
    """``value >= least``."""

    least: float

    def holds(self, value: Any) -> bool:
        return bool(value >= self.least)

    def remedy(self) -> str:
        return f"give at least {self.least}"


@dataclass(frozen=True)
class Above(Constraint):
    """``value > 0``, and finite unless ``infinite``."""

    infinite: bool = False

    def holds(self, value: Any) -> bool:
        return bool(value > 0) and (self.infinite or value < math.inf)

    def remedy(self) -> str:
        return "give a positive number" + (" (inf included)" if self.infinite else "")


@dataclass(frozen=True)
class Interval(Constraint):
    """A number between ``low`` and ``high``; ``closed`` names the ends that belong to it."""

    low: float
    high: float
    closed: Literal["both", "low", "high", "neither"] = "both"

    def holds(self, value: Any) -> bool:
        above = value >= self.low if self.closed in ("both", "low") else value > self.low
        below = value <= self.high if self.closed in ("both", "high") else value < self.high
        return bool(above and below)

    def remedy(self) -> str:
        left, right = "[" if self.closed in ("both", "low") else "(", "]" if self.closed in ("both", "high") else ")"
        return f"give a number in {left}{self.low:g}, {self.high:g}{right}"


Count = Annotated[int, AtLeast(1)]
"""A whole number of at least 1, such as a number of steps."""

Natural = Annotated[int, AtLeast(0)]
"""A whole number of at least 0."""

Positive = Annotated[float, Above()]
"""A positive and finite number, such as a step size."""

NonNegative = Annotated[float, AtLeast(0)]
"""A number of at least 0, such as a confidence."""

Share = Annotated[float, Interval(0, 1)]
"""A share, both ends included."""

PositiveShare = Annotated[float, Interval(0, 1, "high")]
"""A share above 0 and at most 1."""

Decay = Annotated[float, Interval(0, 1, "low")]
"""At least 0 and below 1, such as a momentum."""

Fraction = Annotated[float, Interval(0, 1, "neither")]
"""Between 0 and 1, neither included."""

_PLAIN: dict[Any, tuple[type, str]] = {
    int: (Integral, "give a whole number"),
    float: (Real, "give a number"),
    bool: (bool, "give True or False"),
    str: (str, "give a text"),
}


def shown(instance: Any) -> str:
    """Class and attributes, the same in every process: what records say of a component that is no dataclass."""
    held = ", ".join(f"{name}={value!r}" for name, value in getattr(instance, "__dict__", {}).items())
    return f"{type(instance).__qualname__}({held})"


def check_hyperparameters(instance: Any) -> None:
    """Check every field of a dataclass instance against its type.

    Raises
    ------
    InvalidInput: a value is not of its field's type; the message names field, value and what to give.
    """
    for name, hint in _hints(instance.__class__).items():
        value = getattr(instance, name)
        wanted = remedy(hint, value)
        if wanted is not None:
            raise InvalidInput(f"{name} is {value!r}: {wanted}")


@cache
def _hints(owner: Any) -> dict[str, Any]:
    """Types of the fields that the constructor takes."""
    try:
        hints = get_type_hints(owner, include_extras=True)
    except NameError as error:
        raise TypeError(f"the fields of {owner.__name__} cannot be checked ({error}): import their types") from error
    return {field.name: hints[field.name] for field in fields(owner) if field.init}


def remedy(hint: Any, value: Any) -> str | None:
    """What to give instead of ``value``; None if it is right."""
    origin = get_origin(hint)
    if origin is Annotated:
        plain, *extras = get_args(hint)
        constraints = [extra for extra in extras if isinstance(extra, Constraint)]
        return remedy(plain, value) or next((one.remedy() for one in constraints if not one.holds(value)), None)
    if origin in (Union, UnionType):
        remedies = [remedy(one, value) for one in get_args(hint)]
        return None if None in remedies else ", or ".join(map(str, remedies))
    if origin is Literal:
        known = get_args(hint)
        listed = ", ".join(map(str, known))
        return None if value in known else f"choose one of {listed}" if len(known) > 1 else listed
    if hint in (None, NoneType):
        return None if value is None else "None"
    if hint in _PLAIN:
        kind, instead = _PLAIN[hint]
        right = isinstance(value, kind) and (hint is bool or not isinstance(value, bool))
        return None if right else instead
    return _of_class(hint, value)


def _of_class(hint: Any, value: Any) -> str | None:
    """What to give instead of ``value``; None if it is an instance of the class ``hint``, or ``hint`` is none."""
    kind = get_origin(hint) or hint
    if kind is tuple and get_args(hint)[1:] == (...,):
        return _of_items(get_args(hint)[0], value)
    if kind is Any or not isinstance(kind, type) or getattr(kind, "_is_protocol", False) or isinstance(value, kind):
        return None
    return f"give {'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def _of_items(hint: Any, value: Any) -> str | None:
    """What to give instead of a sequence of which every item is of type ``hint``; None if it is one."""
    if not isinstance(value, tuple | list):
        return "give a tuple"
    wrong = (found for item in value if (found := remedy(hint, item)) is not None)
    return next((f"for each item, {found}" for found in wrong), None)
