"""What the attacker may do: norm, budget, valid range, goal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Literal, cast, get_args

from advplug.errors import InvalidInput

Norm = Literal["linf", "l2", "l1", "l0"]


@dataclass(frozen=True, slots=True)
class ThreatModel:
    """The attacker's constraint.

    Parameters
    ----------
    norm: ``linf``, ``l2``, ``l1`` or ``l0``, of the flattened perturbation; ``l0`` counts values, not pixels.
    epsilon: budget in the units of the input, at most this much (inclusive); None asks for the smallest perturbation.
    bounds: valid range of every input value.
    targeted: the goal is a given class rather than any wrong one.

    Raises
    ------
    InvalidInput: unknown norm, negative or non-finite budget, empty range.
    """

    norm: Norm = "linf"
    epsilon: float | None = None
    bounds: tuple[float, float] = (0.0, 1.0)
    targeted: bool = False

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise InvalidInput(f"norm {self.norm!r}: choose one of {', '.join(get_args(Norm))}")
        if self.epsilon is not None and not (_is_finite(self.epsilon) and self.epsilon >= 0):
            raise InvalidInput(f"epsilon {self.epsilon!r}: give a finite number >= 0, or None for minimum norm")
        bounds = tuple(self.bounds) if isinstance(self.bounds, Sequence) else ()
        if not (len(bounds) == 2 and all(map(_is_finite, bounds)) and bounds[0] < bounds[1]):
            raise InvalidInput(f"bounds {self.bounds!r}: give two finite numbers, the lower one first")

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
        """Read ``norm:epsilon``, such as ``linf:8/255``, ``l2:0.5`` or ``l2:min`` (minimum norm)."""
        norm, separator, budget = text.partition(":")
        if not separator:
            raise InvalidInput(f"threat {text!r}: write norm:epsilon, such as linf:8/255 or l2:min")
        try:
            epsilon = None if budget == "min" else float(Fraction(budget))
        except (ValueError, ZeroDivisionError):
            raise InvalidInput(f"epsilon {budget!r} in threat {text!r}: write a number, a fraction or min") from None
        threat = cls(cast(Norm, norm), epsilon, bounds)
        width = bounds[1] - bounds[0]
        if norm == "linf" and epsilon is not None and epsilon > width:
            raise InvalidInput(f"threat {text!r} is wider than the bounds {bounds}: did you mean linf:{budget}/255?")
        return threat

    def __str__(self) -> str:
        budget = "min" if self.epsilon is None else f"{self.epsilon:.6g}"
        return f"{self.norm}:{budget}"


def _is_finite(value: object) -> bool:
    """Whether ``value`` is one number, and finite."""
    return isinstance(value, Real) and math.isfinite(value)
