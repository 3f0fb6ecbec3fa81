"""The few operations that eagerpy lacks or makes slow, over torch. Nothing else unwraps a tensor to compute."""

from __future__ import annotations

from typing import cast

import eagerpy as ep
import torch
from torch import Tensor


def raw(x: ep.Tensor | Tensor) -> Tensor:
    """The torch tensor behind ``x``."""
    return cast(Tensor, x.raw) if isinstance(x, ep.Tensor) else x


def wrap(x: Tensor) -> ep.Tensor:
    """``x`` as an eagerpy tensor."""
    return cast(ep.Tensor, ep.PyTorchTensor(x))


def per_sample(values: ep.Tensor, like: ep.Tensor) -> ep.Tensor:
    """View ``values`` (n,) as (n, 1, ..., 1), so that it broadcasts against ``like`` (n, ...)."""
    return wrap(raw(values).reshape(-1, *(1,) * (raw(like).ndim - 1)))


def on_grid(x: ep.Tensor, bounds: tuple[float, float], levels: int | None) -> ep.Tensor:
    """``x`` (n, ...) rounded to ``levels`` values, evenly spaced within ``bounds``, ends included; None leaves it."""
    if levels is None:
        return x
    low, high = bounds
    gap = (high - low) / (levels - 1)
    return (low + wrap(raw((x - low) / gap).round()) * gap).clip(low, high)  # the sum may round beyond the bounds


def as_images(x: Tensor) -> Tensor:
    """``x`` (n, ...) as (n, channels, rows, columns): a vector is one row, what stands before rows are channels."""
    return x[:, None, None] if x.ndim == 2 else x.reshape(len(x), -1, *x.shape[-2:])


def pick(scores: ep.Tensor, classes: ep.Tensor) -> ep.Tensor:
    """``scores[i, classes[i]]`` for scores (n, K) and int64 classes (n,); shape (n,)."""
    return wrap(raw(scores).gather(1, raw(classes)[:, None]).squeeze(1))


def best_other(scores: ep.Tensor, excluded: ep.Tensor) -> ep.Tensor:
    """Highest of ``scores`` (n, K) among the classes other than ``excluded`` (n,); shape (n,)."""
    values, classes = raw(scores).topk(2, dim=1)
    return wrap(torch.where(classes[:, 0] == raw(excluded), values[:, 1], values[:, 0]))


def largest(scores: ep.Tensor, count: int) -> ep.Tensor:
    """The ``count`` highest of ``scores`` (n, K) in descending order; shape (n, count)."""
    return wrap(raw(scores).topk(count, dim=1).values)


def norms(delta: Tensor, norm: str) -> Tensor:
    """The ``norm`` of every flattened row of ``delta`` (n, ...), float64 (n,); l0 counts non-zero values."""
    rows = delta.flatten(1)
    return size_of_rows(rows, norm).double() if norm == "linf" else size_of_rows(rows.double(), norm)


def size(delta: ep.Tensor, norm: str) -> ep.Tensor:
    """The same in the dtype of ``delta``, for the steps of an attack."""
    return wrap(size_of_rows(raw(delta).flatten(1), norm))


def size_of_rows(rows: Tensor, norm: str) -> Tensor:
    """The ``norm`` of every row of (n, d). Torch's own takes up to ten times as long on the host for all but l2."""
    match norm:
        case "linf":
            return rows.abs().amax(1)
        case "l1":
            return rows.abs().sum(1)
        case "l0":
            return (rows != 0).sum(1).to(rows.dtype)
    distance: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return distance


def lowest_and_highest(x: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest value of each row of (n, ...), (n,) each; NaN where one is."""
    rows = x.flatten(1)
    return rows.amin(1), rows.amax(1)


def rounded_inwards(lower: Tensor, upper: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Bounds float64 in ``dtype``, none of them outside what they were."""
    low, high = lower.to(dtype), upper.to(dtype)
    low = torch.where(low.double() < lower, torch.nextafter(low, torch.full_like(low, torch.inf)), low)
    high = torch.where(high.double() > upper, torch.nextafter(high, torch.full_like(high, -torch.inf)), high)
    return low, high


def unit(delta: ep.Tensor, norm: str = "l2") -> ep.Tensor:
    """Each sample of ``delta`` (n, ...) at ``norm`` 1; zero stays zero."""
    length = norms(raw(delta), norm).to(raw(delta).dtype)  # summed in float64, where small squares do not vanish
    return delta / per_sample(wrap(torch.where(length > 0, length, 1)), delta)
