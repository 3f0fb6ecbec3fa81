"""What the attacker may do: norm, budget, valid range, goal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from advplug.errors import InvalidInput
from advplug.numerics.fixed_array import FixedArray
from advplug.numerics.written_numbers import number_in, written

Norm = Literal["linf", "l2", "l1", "l0"]


@dataclass(frozen=True, slots=True)
class ThreatModel:
    """The attacker's constraint.

    Parameters
    ----------
    norm: ``linf``, ``l2``, ``l1`` or ``l0``, of the flattened perturbation; ``l0`` counts values, not pixels.
    epsilon: budget in the units of the input, at most this much (inclusive); None asks for the smallest perturbation.
        Under ``linf`` also an array, a budget for each value; then this is the largest of them.
    bounds: valid range of every input value. Also two arrays, a range for each value; then this is the range of all.
    targeted: the goal is a given class rather than any wrong one.
    mask: True (or 1) where the attacker may change a value, False (or 0) where it stays as it is; None for everywhere.
    shares: each value's budget as a share of ``epsilon``, None if they are equal.
    lower_bounds, upper_bounds: the range of each value, None if they are equal.

    Arrays have the shape of one input, or one that broadcasts to it, or (N, ...) with one row for each input. They are
    kept as :class:`advplug.numerics.fixed_array.FixedArray`; the last three follow from ``epsilon`` and ``bounds``.

    Raises
    ------
    InvalidInput: unknown norm, negative or non-finite budget, empty range, a mask that allows nothing.
    """

    norm: Norm = "linf"
    epsilon: float | None = None
    bounds: tuple[float, float] = (0.0, 1.0)
    targeted: bool = False
    mask: FixedArray | None = None
    shares: FixedArray | None = None
    lower_bounds: FixedArray | None = None
    upper_bounds: FixedArray | None = None

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise InvalidInput(f"norm {self.norm!r}: choose one of {', '.join(get_args(Norm))}")
        if not isinstance(self.targeted, bool):
            raise InvalidInput(f"targeted is {self.targeted!r}: give True or False")
        self._read_epsilon()
        self._read_bounds()
        if self.mask is not None:
            self._set("mask", FixedArray(self.mask, name="mask", dtype=np.bool_))
            if not self.mask.array.any():
                raise InvalidInput("mask allows no value to change: set it to True where the attacker may change one")

    def _read_epsilon(self) -> None:
        epsilon = self.epsilon
        if _is_array(epsilon):
            budgets = FixedArray(epsilon, name="epsilon").array
            if self.norm != "linf":
                raise InvalidInput(f"epsilon is an array under {self.norm}: a budget for each value needs linf")
            if not (budgets.size and np.isfinite(budgets).all() and (budgets >= 0).all() and (budgets > 0).any()):
                raise InvalidInput("epsilon is an array: give finite numbers >= 0, and at least one above 0")
            self._set("epsilon", float(budgets.max()))
            self._set("shares", FixedArray(budgets / budgets.max(), name="epsilon"))
        elif epsilon is not None and not (_is_finite(epsilon) and epsilon >= 0):
            raise InvalidInput(f"epsilon {epsilon!r}: give a finite number >= 0, or None for minimum norm")
        if self.epsilon is None:
            self._set("shares", None)

    def _read_bounds(self) -> None:
        bounds = tuple(self.bounds) if isinstance(self.bounds, Sequence) else ()
        if len(bounds) == 2 and any(map(_is_array, bounds)):
            lower, upper = (FixedArray(bound, name="bounds") for bound in bounds)
            if not (np.isfinite(lower.array).all() and np.isfinite(upper.array).all() and lower.array.size):
                raise InvalidInput("bounds are arrays with NaN or infinite values: give finite ones")
            try:
                empty = (lower.array > upper.array).any()
            except ValueError as error:
                shapes = f"{lower.array.shape} and {upper.array.shape}"
                raise InvalidInput(f"bounds are arrays of shapes {shapes}: give two of one shape") from error
            if empty:
                raise InvalidInput("bounds are arrays, and some lower bound is above its upper one: swap them")
            self._set("lower_bounds", lower)
            self._set("upper_bounds", upper)
            bounds = (float(lower.array.min()), float(upper.array.max()))
            self._set("bounds", bounds)
        if not (len(bounds) == 2 and all(map(_is_finite, bounds)) and bounds[0] < bounds[1]):
            raise InvalidInput(f"bounds {self.bounds!r}: give two finite numbers, the lower one first")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def allows_every_input(self) -> bool:
        """Whether an ``linf`` budget is wider than the bounds: most likely pixels of 0 to 255 were meant."""
        return self.norm == "linf" and self.epsilon is not None and self.epsilon > self.bounds[1] - self.bounds[0]

    @property
    def budgets(self) -> NDArray[np.float64] | None:
        """The budget of each value, None if they are equal."""
        return None if self.shares is None or self.epsilon is None else self.epsilon * self.shares.array

    @property
    def uniform(self) -> bool:
        """Whether all values of an input have the same range and budget, and all may change."""
        return all(array is None for array in (self.mask, self.shares, self.lower_bounds, self.upper_bounds))

    @property
    def budget(self) -> float:
        """The budget, for code that needs one.

        Raises
        ------
        InvalidInput: the threat model asks for the smallest perturbation.
        """
        if self.epsilon is None:
            raise InvalidInput(f"the threat model {self} has no budget: give an epsilon, such as {self.norm}:0.3")
        return self.epsilon

    @classmethod
    def parse(cls, text: str, *, bounds: tuple[float, float] = (0.0, 1.0)) -> ThreatModel:
        """Read ``norm:epsilon``, such as ``linf:8/255``, ``L2:0.5`` or ``l2:min`` (minimum norm)."""
        norm, separator, budget = text.partition(":")
        if not separator:
            raise InvalidInput(f"threat {text!r}: write norm:epsilon, such as linf:8/255 or l2:min")
        try:
            epsilon = None if budget == "min" else number_in(budget)
        except (ValueError, ZeroDivisionError, OverflowError):
            raise InvalidInput(f"epsilon {budget!r} in threat {text!r}: write a number, a fraction or min") from None
        threat = cls(cast(Norm, norm.lower()), epsilon, bounds)
        if threat.allows_every_input:
            raise InvalidInput(f"threat {text!r} is wider than the bounds {bounds}: did you mean linf:{budget}/255?")
        return threat

    def __str__(self) -> str:
        budget = "min" if self.epsilon is None else written(self.epsilon)
        notes = {
            "at most, a budget for each value": self.shares is not None,
            "a range for each value": self.lower_bounds is not None,
            "within a mask": self.mask is not None,
        }
        return ", ".join((f"{self.norm}:{budget}", *(note for note, holds in notes.items() if holds)))


def as_threat(threat: ThreatModel | str, *, bounds: tuple[float, float] = (0.0, 1.0)) -> ThreatModel:
    """``threat`` itself, or the one that its text says within ``bounds``: what every call does that takes one.

    Raises
    ------
    InvalidInput: it is neither, or a text that says none.
    """
    if isinstance(threat, ThreatModel):
        return threat
    if isinstance(threat, str):
        return ThreatModel.parse(threat, bounds=bounds)
    raise InvalidInput(f"threat is {threat!r}: pass a ThreatModel, or text such as 'linf:8/255'")


def _is_array(value: object) -> bool:
    """Whether ``value`` is several numbers: an array or tensor with a dimension, or a list."""
    return isinstance(value, list | tuple | FixedArray) or getattr(value, "ndim", 0) > 0


def _is_finite(value: object) -> bool:
    """Whether ``value`` is one number, and finite."""
    return isinstance(value, Real) and math.isfinite(value)
