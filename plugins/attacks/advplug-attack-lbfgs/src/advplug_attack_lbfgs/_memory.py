"""The curvature pairs of L-BFGS, for all samples at once (Nocedal and Wright 2006, algorithm 7.4)."""

from __future__ import annotations

from typing import NamedTuple

import eagerpy as ep
import torch

from advplug.numerics import per_sample

LEAST_CURVATURE = 1e-8
"""A pair tells nothing of the curvature where the cosine between ``s`` and ``y`` is at most this."""


class Memory(NamedTuple):
    """The last m steps ``s`` and changes ``y`` of the gradient, both (n, m, d), newest last; zero where none is."""

    s: ep.Tensor
    y: ep.Tensor

    @classmethod
    def empty(cls, size: int, like: ep.Tensor) -> Memory:
        """No pairs yet, for points like ``like`` (n, ...)."""
        samples, values = like.flatten(1).shape
        zeros = ep.zeros(like, (samples, size, values))
        return cls(zeros, zeros)

    def seen(self, s: ep.Tensor, y: ep.Tensor, where: ep.Tensor) -> Memory:
        """With one more pair (n, ...) for the samples ``where`` bool (n,) that has positive curvature ``s . y``."""
        s, y = s.flatten(1), y.flatten(1)
        curved = (s * y).sum(1) > LEAST_CURVATURE * (s.norms.l2(axis=1) * y.norms.l2(axis=1))
        keep = per_sample(ep.logical_and(where, curved), self.s)
        return Memory(ep.where(keep, _shifted(self.s, s), self.s), ep.where(keep, _shifted(self.y, y), self.y))

    def forgotten(self, where: ep.Tensor) -> Memory:
        """Without the pairs of the samples ``where`` bool (n,)."""
        gone = per_sample(where, self.s)
        return Memory(ep.where(gone, 0 * self.s, self.s), ep.where(gone, 0 * self.y, self.y))

    def times(self, g: ep.Tensor, free: ep.Tensor, scale: float) -> ep.Tensor:
        """The inverse Hessian of the coordinates ``free``, bool (n, ...), times ``g`` (n, ...), zero elsewhere.

        The pairs are cut to these coordinates; ``scale`` stands for the inverse Hessian where there are none.
        """
        moves = free.flatten(1).astype(g.dtype)
        s, y = self.s * moves.expand_dims(1), self.y * moves.expand_dims(1)
        sy, yy, ss = (s * y).sum(2), y.square().sum(2), s.square().sum(2)
        rho = ep.where(sy > LEAST_CURVATURE * (yy * ss).sqrt(), 1 / sy, 0.0)  # (n, m)
        pairs = [(s[:, i], y[:, i], rho[:, i].expand_dims(1)) for i in range(s.shape[1])]
        q, weights = g.flatten(1) * moves, []
        for s_i, y_i, rho_i in reversed(pairs):
            weights.append(rho_i * (s_i * q).sum(1, keepdims=True))
            q = q - weights[-1] * y_i
        newest = sy[:, -1] / ep.maximum(yy[:, -1], torch.finfo(g.dtype).tiny)
        q = ep.where(rho[:, -1] > 0, newest, scale).expand_dims(1) * q
        for (s_i, y_i, rho_i), weight in zip(pairs, reversed(weights), strict=True):
            q = q + s_i * (weight - rho_i * (y_i * q).sum(1, keepdims=True))
        return q.reshape(g.shape)


def _shifted(pairs: ep.Tensor, newest: ep.Tensor) -> ep.Tensor:
    """``pairs`` (n, m, d) without the oldest, and with ``newest`` (n, d)."""
    return ep.concatenate([pairs[:, 1:], newest.expand_dims(1)], axis=1)
