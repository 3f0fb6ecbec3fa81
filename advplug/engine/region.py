"""Where the values of a point may lie: in their bounds, in a mask, and under linf in their budgets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.numerics.fixed_array import FixedArray
from advplug.numerics.tensors import rounded_inwards
from advplug.threat import ThreatModel


@dataclass(frozen=True)
class Region:
    """What a threat model says of single values, as tensors that broadcast to the inputs.

    ``lower`` and ``upper`` float64, ``mask`` bool, ``shares`` float64: (1, ...) or one row for each input, None where
    the threat model holds no array of that kind. Budgets that a norm shares out among the values are not part of it.
    """

    norm: str
    bounds: tuple[float, float]
    lower: Tensor | None = None
    upper: Tensor | None = None
    mask: Tensor | None = None
    shares: Tensor | None = None

    @classmethod
    def of(cls, threat: ThreatModel, inputs: Tensor) -> Region:
        """The region around ``inputs`` (N, ...).

        Raises
        ------
        InvalidInput: an array of the threat model does not fit their shape.
        """
        return cls(
            threat.norm,
            threat.bounds,
            _fitting("bounds", threat.lower_bounds, inputs),
            _fitting("bounds", threat.upper_bounds, inputs),
            _fitting("mask", threat.mask, inputs),
            _fitting("epsilon", threat.shares, inputs),
        )

    @property
    def uniform(self) -> bool:
        """Whether it says the same of all values, and all may change."""
        return self.lower is None and self.mask is None and self.shares is None

    def at(self, rows: Tensor) -> Region:
        """That of the samples ``rows``, int64 (n,)."""
        if self.uniform:
            return self

        def chosen(array: Tensor | None) -> Tensor | None:
            return array if array is None or array.shape[0] == 1 else array[rows]

        return Region(
            self.norm, self.bounds, chosen(self.lower), chosen(self.upper), chosen(self.mask), chosen(self.shares)
        )

    def limits(self, inputs: Tensor, epsilon: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The least and the greatest values (n, ...) in ``dtype`` around ``inputs`` (n, ...), rounded inwards.

        Bounds and mask; under linf cut to the budgets ``epsilon``, float64 (n,), if they are given.
        """
        clean = inputs.double()
        lower = torch.full_like(clean, self.bounds[0]) if self.lower is None else self.lower.expand_as(clean)
        upper = torch.full_like(clean, self.bounds[1]) if self.upper is None else self.upper.expand_as(clean)
        if self.norm == "linf" and epsilon is not None:
            radius = epsilon.view(-1, *(1,) * (inputs.ndim - 1))
            if self.shares is not None:
                radius = radius * self.shares
            lower, upper = torch.maximum(lower, clean - radius), torch.minimum(upper, clean + radius)
        if self.mask is not None:
            lower, upper = torch.where(self.mask, lower, clean), torch.where(self.mask, upper, clean)
        low, high = rounded_inwards(lower, upper, dtype)
        return torch.minimum(low, inputs.to(dtype)), torch.maximum(high, inputs.to(dtype))

    def hold(self, points: Tensor, inputs: Tensor, epsilon: Tensor | None) -> Tensor:
        """``points`` (n, ...) with each value moved to the nearest one that is allowed around ``inputs``."""
        if self.uniform:
            return points
        low, high = self.limits(inputs, epsilon, points.dtype)
        return torch.minimum(torch.maximum(points, low), high)


def _fitting(name: str, array: FixedArray | None, inputs: Tensor) -> Tensor | None:
    """``array`` as a tensor (1, ...) or (N, ...) beside ``inputs`` (N, ...)."""
    if array is None:
        return None
    values = torch.from_numpy(array.array.copy()).to(inputs.device)
    if values.ndim < inputs.ndim:
        values = values[(None,) * (inputs.ndim - values.ndim)]
    try:
        fits = torch.broadcast_shapes(values.shape, inputs.shape) == inputs.shape
    except RuntimeError:
        fits = False
    if not fits:
        shapes = f"{tuple(array.array.shape)}, the inputs {tuple(inputs.shape)}"
        raise InvalidInput(f"{name} of the threat model has shape {shapes}: give it the shape of one input")
    return values
