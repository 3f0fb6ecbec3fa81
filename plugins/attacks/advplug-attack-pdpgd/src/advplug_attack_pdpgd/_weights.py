"""The dual player: how much the norm and the classification loss weigh for each sample."""

from __future__ import annotations

import math
from typing import NamedTuple

import eagerpy as ep

_WIDEST = math.log(1e6)  # the ratio of the two weights stays between 1e-6 and 1e6


class Weights(NamedTuple):
    """Weights on the simplex, all (n,).

    ``u`` is the logarithm of classification weight over norm weight, which the ascent moves. ``norm`` is the running
    mean of the norm's weight, which the descent uses; one less it is the classification's. ``best`` is ``norm`` at the
    best point of this run, -1 where none is.
    """

    u: ep.Tensor
    norm: ep.Tensor
    best: ep.Tensor

    @classmethod
    def at_ratio(cls, ratio: float, like: ep.Tensor) -> Weights:
        """Norm weight over classification weight equal to ``ratio`` for each row of ``like`` (n, ...)."""
        zero = like.flatten(1)[:, 0] * 0
        return cls(zero - math.log(ratio), zero + ratio / (1 + ratio), zero - 1)

    @property
    def classification(self) -> ep.Tensor:
        """The running mean of the classification's weight (n,)."""
        return 1 - self.norm

    @property
    def ratio(self) -> ep.Tensor:
        """lambda (n,): what a unit of the norm costs in units of the loss."""
        return self.norm / ep.maximum(self.classification, 1e-7)

    def ascend(self, success: ep.Tensor, step_size: float, averaging: float) -> Weights:
        """One step on the true constraint: towards the norm where ``success`` bool (n,), to classification elsewhere.

        The gradient is a sign, never the value of the loss: a sample deep inside a class must not run away.
        """
        u = ep.where(success, self.u - step_size, self.u + step_size).clip(-_WIDEST, _WIDEST)
        return self._replace(u=u, norm=averaging * self.norm + (1 - averaging) / (1 + u.exp()))

    def remember(self, better: ep.Tensor) -> Weights:
        """Note the weights where the point that they led to is the best so far, bool (n,)."""
        return self._replace(best=ep.where(better, self.norm, self.best))

    def recall(self) -> Weights:
        """The weights of the best point, where there is one."""
        norm = ep.where(self.best > 0, self.best, self.norm)
        return self._replace(u=ep.where(self.best > 0, (1 / norm - 1).log().clip(-_WIDEST, _WIDEST), self.u), norm=norm)
