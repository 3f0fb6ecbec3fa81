"""Linear models, on which the best attack is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def linear_model(classes: int, shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A linear classifier of inputs (N, *shape) with standard normal weights, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.Size(shape).numel()
    layer = nn.Linear(size, classes, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, size, generator=generator, dtype=torch.float64))
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer).eval()


def largest_change(weight: Tensor, inputs: Tensor, norm: str, epsilon: float, bounds: tuple[float, float]) -> Tensor:
    """The most by which ``weight . x`` can fall when ``x`` moves by at most epsilon inside the bounds.

    Parameters
    ----------
    weight: float64 (d,) or (n, d).
    inputs: float64 (n, d).

    Returns
    -------
    Tensor: float64 (n,), found by a greedy choice (l1, l0), directly (linf) or by bisection (l2).
    """
    gain = weight.abs().expand_as(inputs)
    room = torch.where(weight > 0, inputs - bounds[0], bounds[1] - inputs)
    match norm:
        case "linf":
            return (gain * room.clamp(max=epsilon)).sum(1)
        case "l0":
            return (gain * room).sort(1, descending=True).values[:, : int(epsilon)].sum(1)
        case "l1":  # spend the budget on the steepest coordinates first, each as far as the box goes
            order = gain.argsort(dim=1, descending=True)
            spent = room.gather(1, order).cumsum(1).clamp(max=epsilon)
            steps = spent.diff(dim=1, prepend=torch.zeros_like(spent[:, :1]))
            return (gain.gather(1, order) * steps).sum(1)
        case "l2":
            low, high = torch.zeros(len(inputs), 1, dtype=torch.float64), torch.full((len(inputs), 1), 1e9).double()
            for _ in range(200):
                middle = (low + high) / 2
                fits = (gain * middle).minimum(room).square().sum(1, keepdim=True) <= epsilon**2
                low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
            return (gain * (gain * low).minimum(room)).sum(1)
    raise ValueError(f"unknown norm {norm!r}")
