"""How step sizes fall over a run."""

from __future__ import annotations

from typing import Literal

Shape = Literal["exponential", "linear", "constant"]


def falling(first: float, last_share: float, shape: Shape, done: float) -> float:
    """The size from ``first`` down to ``first * last_share`` when the share ``done`` in [0, 1] of the steps is over."""
    match shape:
        case "exponential":
            return float(first * last_share**done)
        case "linear":
            return first * (1 - (1 - last_share) * done)
        case _:
            return first
