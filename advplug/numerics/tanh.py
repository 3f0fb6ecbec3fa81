"""The change of variable that keeps every point in the box (Carlini and Wagner 2017, sec. V-B)."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep


@dataclass(frozen=True)
class TanhReparameterization:
    """``x = middle + half * tanh(w)``, cut to ``middle +- width / 2``.

    ``half`` exceeds half the ``width`` by a share: a value at the bounds then has a finite w, and a slope that lets
    it move. At the bounds of the paper's map the slope is zero (tanh saturates), or so small that a value of 0 takes
    hundreds of steps to leave it.
    """

    middle: float
    width: float
    half: float

    @classmethod
    def of(cls, bounds: tuple[float, float], stretch: float) -> TanhReparameterization:
        """For valid values in ``bounds``, stretched by the share ``stretch`` for the change of variable."""
        low, high = bounds
        return cls((low + high) / 2, high - low, (1 + stretch) * (high - low) / 2)

    def inside(self, w: ep.Tensor) -> ep.Tensor:
        """The point of ``w`` (n, ...)."""
        return (self.middle + self.half * w.tanh()).clip(self.middle - self.width / 2, self.middle + self.width / 2)

    def inverse(self, x: ep.Tensor) -> ep.Tensor:
        """The ``w`` of the point ``x`` (n, ...)."""
        return ((x - self.middle) / self.half).arctanh()

    def slope(self, x: ep.Tensor) -> ep.Tensor:
        """``dx / dw`` at the point ``x`` (n, ...), never zero."""
        return self.half - (x - self.middle).square() / self.half
