"""A linear stand-in for a module that autograd cannot see into, fitted to its answers to inputs around the batch."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from advplug.tracing.beside import straight
from advplug.tracing.shapes import bridged, least_squares

MOST_VALUES = 4096
"""Inputs with more values are not probed: the fit would take longer than an attack."""

WORSE = 0.5
"""Share of the variance of the outputs that a fit may miss before it is made again: the weights have changed."""

_fits: WeakKeyDictionary[nn.Module, tuple[Tensor, Tensor]] = WeakKeyDictionary()


def past(module: nn.Module, before: Tensor, after: Tensor) -> Tensor:
    """``after`` (n, M), what ``module`` gave for ``before`` (n, D), with the gradient of a linear fit.

    Of other shapes with that of :func:`advplug.tracing.shapes.bridged`.
    """
    vectors = before.ndim == after.ndim == 2 and len(before) == len(after) and before.shape[1] <= MOST_VALUES
    if not vectors or before.shape == after.shape:
        return bridged(after, before)
    weights, bias = _fits.get(module, (None, None))
    if weights is None or bias is None or _missed(after, before.detach() @ weights + bias) > WORSE:
        weights, bias = _fits[module] = _fitted(module, before.detach())
    return straight(after, before @ weights + bias)


def _fitted(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (D, M) and bias (M,) from the answers to twice as many inputs as an input has values."""
    draws = torch.Generator(device=x.device).manual_seed(0)
    rows = torch.randint(len(x), (2 * x.shape[1] + 64,), generator=draws, device=x.device)
    noise = torch.randn(len(rows), x.shape[1], generator=draws, device=x.device, dtype=x.dtype)
    probes = x[rows] + noise * x.std(correction=0).clamp(min=1e-6)
    with torch.no_grad():
        answers = module.forward(probes)  # not called: hooks are for the pass that asks
    centre, middle = probes.mean(0), answers.mean(0)
    weights = least_squares(probes - centre, answers - middle, ridge=1e-6)
    return weights, middle - centre @ weights


def _missed(wanted: Tensor, found: Tensor) -> float:
    """Share of the variance that ``found`` does not explain."""
    variance = (wanted - wanted.mean(0)).square().sum().clamp(min=1e-12)
    return float((wanted - found).square().sum() / variance) if len(wanted) > 1 else 0.0
