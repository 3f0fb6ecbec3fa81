"""A linear stand-in for what autograd cannot see into, fitted to its answers to inputs around the batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from advplug.tracing.beside import straight
from advplug.tracing.shapes import bridged, least_squares

MOST_VALUES = 4096
"""Inputs with more values are not probed: the fit would take longer than an attack."""

WORSE = 0.5
"""Share of the variance of the outputs that a fit may miss before it is made again: the weights have changed."""

Function = Callable[[Tensor], Tensor]

_fits: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[Tensor, Tensor]]] = WeakKeyDictionary()


def past(module: nn.Module, before: Tensor, after: Tensor, function: Function | None = None, at: int = 0) -> Tensor:
    """``after`` (n, M), what ``module`` gave for ``before`` (n, D), with the gradient of a linear fit.

    Of other shapes with that of :func:`advplug.tracing.shapes.bridged`. With a ``function`` it is that which gave it:
    the one at the place ``at`` of the module's forward pass.
    """
    vectors = before.ndim == after.ndim == 2 and len(before) == len(after) and before.shape[1] <= MOST_VALUES
    if not vectors or before.shape == after.shape:
        return bridged(after, before)
    fits = _fits.setdefault(module, {})
    weights, bias = fits.get(at, (None, None))
    if weights is None or bias is None or _missed(after, before.detach() @ weights + bias) > WORSE:
        weights, bias = fits[at] = _fitted(function or module.forward, before.detach())
    return straight(after, before @ weights + bias)


def _fitted(function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (D, M) and bias (M,) from the answers to twice as many inputs as an input has values."""
    draws = torch.Generator(device=x.device).manual_seed(0)
    rows = torch.randint(len(x), (2 * x.shape[1] + 64,), generator=draws, device=x.device)
    noise = torch.randn(len(rows), x.shape[1], generator=draws, device=x.device, dtype=x.dtype)
    probes = x[rows] + noise * x.std(correction=0).clamp(min=1e-6)
    with torch.no_grad():
        answers = function(probes)  # a module is not called: hooks are for the pass that asks
    centre, middle = probes.mean(0), answers.mean(0)
    weights = least_squares(probes - centre, answers - middle, ridge=1e-6)
    return weights, middle - centre @ weights


def _missed(wanted: Tensor, found: Tensor) -> float:
    """Share of the variance that ``found`` does not explain."""
    variance = (wanted - wanted.mean(0)).square().sum().clamp(min=1e-12)
    return float((wanted - found).square().sum() / variance) if len(wanted) > 1 else 0.0
