"""From a change, the variable of the search, to a valid input, and what the distance costs along the way."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep

from advplug.attack import Task
from advplug.numerics import TanhReparameterization

STRETCH = 0.01
"""Share by which the box of the tanh is wider, so that values at the bounds can move."""


@dataclass(frozen=True)
class Box:
    """Inputs as a function of a change, both (n, ...): the change is zero at the clean inputs, in widths of the box.

    ``lowest`` and ``highest`` (n, ...) are the changes that lead to the bounds of valid inputs.
    """

    clean: ep.Tensor
    bounds: tuple[float, float]
    lowest: ep.Tensor
    highest: ep.Tensor

    @classmethod
    def of(cls, task: Task) -> Box:
        """The box of the valid inputs of ``task``."""
        low, high = task.threat.bounds
        width = high - low
        return cls(task.inputs, (low, high), (low - task.inputs) / width, (high - task.inputs) / width)

    @property
    def width(self) -> float:
        """Width of the bounds."""
        return self.bounds[1] - self.bounds[0]

    def moved(self, change: ep.Tensor) -> ep.Tensor:
        """The inputs at ``change``, (n, ...) or (m, n, ...)."""
        return (self.clean + self.width * change).clip(*self.bounds)

    def kept(self, change: ep.Tensor) -> ep.Tensor:
        """The nearest change that the bounds allow, (n, ...)."""
        return ep.minimum(ep.maximum(change, self.lowest), self.highest)

    def distance(self, x: ep.Tensor) -> tuple[ep.Tensor, ep.Tensor]:
        """Slope and curvature of the squared distance of ``x`` along each value of the change, both (n, ...)."""
        return 2 * (x - self.clean) / self.width, 2 * ep.ones_like(x)


@dataclass(frozen=True)
class TanhVariable(Box):
    """The same with tanh between: ``x = middle + half tanh(w)``, the change that of w (Carlini and Wagner 2017)."""

    start: ep.Tensor
    curve: TanhReparameterization

    @classmethod
    def of(cls, task: Task) -> TanhVariable:
        x, curve = task.inputs, TanhReparameterization.of(task.threat.bounds, STRETCH)
        start, ones = curve.inverse(x), ep.ones_like(x)
        low, high = (curve.inverse(bound * ones) - start for bound in task.threat.bounds)
        return cls(x, task.threat.bounds, low, high, start, curve)

    def moved(self, change: ep.Tensor) -> ep.Tensor:
        return self.curve.inside(self.start + change)

    def distance(self, x: ep.Tensor) -> tuple[ep.Tensor, ep.Tensor]:
        away, slope = (x - self.clean) / self.width, self.curve.slope(x) / self.width
        bend = -2 * (x - self.curve.middle) / self.curve.half * slope
        return 2 * away * slope, 2 * (slope.square() + away * bend)
