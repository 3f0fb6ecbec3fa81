"""The way from the clean input to an adversarial point, and the boundary that lies on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advplug.numerics import raw, size, wrap


@dataclass(frozen=True)
class Segment:
    """From the clean inputs to ``far`` (n, ...), which is adversarial: shares of the way, between 0 and 1.

    The point at share ``high`` is adversarial, the one at ``low`` is not, both (n,).
    """

    far: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def to(cls, far: Tensor) -> Segment:
        """The whole way to ``far`` (n, ...)."""
        high = torch.ones(len(far), dtype=far.dtype, device=far.device)
        return cls(far, torch.zeros_like(high), high)

    def at(self, clean: Tensor, share: Tensor, norm: str) -> Tensor:
        """The point (n, ...) at ``share`` (n,).

        Under linf the nearest point to ``far`` within that share of its distance, else a mixture of both ends.
        """
        delta = self.far - clean
        if norm != "linf":
            return clean + spread(share, delta) * delta
        reach = spread(share * length(delta, norm), delta)
        return clean + torch.minimum(torch.maximum(delta, -reach), reach)

    def middle(self, clean: Tensor, norm: str) -> Tensor:
        """The point (n, ...) whose decision halves what is left."""
        return self.at(clean, (self.low + self.high) / 2, norm)

    def halved(self, success: Tensor) -> Segment:
        """After the decision ``success``, bool (n,), about the middle."""
        middle = (self.low + self.high) / 2
        return replace(self, low=torch.where(success, self.low, middle), high=torch.where(success, middle, self.high))

    def narrow(self, tolerance: float) -> Tensor:
        """Whether the boundary is known up to the share ``tolerance``, or as well as the dtype tells, bool (n,)."""
        return self.high - self.low <= max(tolerance, 2 * torch.finfo(self.high.dtype).eps)


def spread(values: Tensor, like: Tensor) -> Tensor:
    """``values`` (n,) in the shape (n, 1, ...), to scale ``like`` (n, ...)."""
    return values.view(-1, *(1,) * (like.ndim - 1))


def length(delta: Tensor, norm: str) -> Tensor:
    """The ``norm`` of each sample of ``delta`` (n, ...), (n,)."""
    return raw(size(wrap(delta), norm))


def directed(delta: Tensor, norm: str = "l2") -> Tensor:
    """Each sample of ``delta`` (n, ...) at ``norm`` 1; zero stays zero."""
    return delta / spread(length(delta, norm).clamp(min=torch.finfo(delta.dtype).tiny), delta)
