"""Adam (Kingma and Ba 2015) as a state that belongs to an attack's state: one row per sample, nothing on the side."""

from __future__ import annotations

import math
from typing import NamedTuple

import eagerpy as ep


class Adam(NamedTuple):
    """Running means ``m`` of the gradient and ``v`` of its square, both (n, ...)."""

    m: ep.Tensor
    v: ep.Tensor

    @classmethod
    def like(cls, x: ep.Tensor) -> Adam:
        """The state before the first step, for points like ``x`` (n, ...)."""
        return cls(ep.zeros_like(x), ep.zeros_like(x))

    def seen(self, gradient: ep.Tensor, beta1: float = 0.9, beta2: float = 0.999) -> Adam:
        """The state after one more gradient (n, ...)."""
        return Adam(
            beta1 * self.m + (1 - beta1) * gradient,
            beta2 * self.v + (1 - beta2) * gradient.square(),
        )

    def scaled(
        self, step: int | ep.Tensor, beta1: float = 0.9, beta2: float = 0.999, floor: float = 1e-8
    ) -> tuple[ep.Tensor, ep.Tensor]:
        """The bias-corrected ``m`` and ``sqrt(v) + floor`` after ``step`` gradients (1 after the first), both (n, ...).

        Samples that started at different times have different ``step``, (n, 1, ..., 1).

        The step of Adam is ``-rate * m / sqrt(v)`` of these.
        """
        return self.m / (1 - _power(beta1, step)), (self.v / (1 - _power(beta2, step))).sqrt() + floor


def _power(base: float, exponent: int | ep.Tensor) -> float | ep.Tensor:
    """``base ** exponent``, which eagerpy lacks for tensors of exponents."""
    return (exponent * math.log(base)).exp() if isinstance(exponent, ep.Tensor) else base**exponent
