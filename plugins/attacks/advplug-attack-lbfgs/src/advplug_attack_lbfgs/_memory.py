"""The curvature pairs of L-BFGS, for all samples at once (Nocedal and Wright 2006, algorithm 7.4)."""

from __future__ import annotations

from typing import NamedTuple

import eagerpy as ep
import torch

from advplug.numerics import per_sample, raw, wrap


class Memory(NamedTuple):
    """The last m steps ``s`` and changes ``y`` of the gradient, both (n, m, d), newest last; zero where none is."""

    s: ep.Tensor
    y: ep.Tensor

    @classmethod
    def empty(cls, size: int, like: ep.Tensor) -> Memory:
        """No pairs yet, for points like ``like`` (n, ...)."""
        flat = raw(like).flatten(1)
        zeros = wrap(flat.new_zeros(len(flat), size, flat.shape[1]))
        return cls(zeros, zeros)

    def seen(self, s: ep.Tensor, y: ep.Tensor, where: ep.Tensor) -> Memory:
        """With one more pair (n, ...) for the samples ``where`` bool (n,) that has positive curvature ``s . y``."""
        s, y = s.flatten(1), y.flatten(1)
        curved = (s * y).sum(1) > 1e-8 * (s.norms.l2(axis=1) * y.norms.l2(axis=1))
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
        moves = raw(free).flatten(1).to(raw(g).dtype)
        s, y = raw(self.s) * moves[:, None], raw(self.y) * moves[:, None]
        q = raw(g).flatten(1) * moves
        sy, yy = (s * y).sum(2), y.square().sum(2)
        rho = torch.where(sy > 1e-8 * (yy * s.square().sum(2)).sqrt(), 1 / sy, 0)  # (n, m)
        a = torch.zeros_like(rho)
        for i in reversed(range(s.shape[1])):
            a[:, i] = rho[:, i] * (s[:, i] * q).sum(1)
            q = q - a[:, i, None] * y[:, i]
        known = rho[:, -1] > 0
        q = torch.where(known, sy[:, -1] / yy[:, -1].clamp_min(torch.finfo(q.dtype).tiny), scale)[:, None] * q
        for i in range(s.shape[1]):
            b = rho[:, i] * (y[:, i] * q).sum(1)
            q = q + s[:, i] * (a[:, i] - b)[:, None]
        return wrap(q.view_as(raw(g)))


def _shifted(pairs: ep.Tensor, newest: ep.Tensor) -> ep.Tensor:
    """``pairs`` (n, m, d) without the oldest, and with ``newest`` (n, d)."""
    return ep.concatenate([pairs[:, 1:], newest.expand_dims(1)], axis=1)
