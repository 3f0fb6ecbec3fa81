"""Linear models, on which the best attack is known in closed form."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack
from advplug.losses import Loss
from advplug.threat import Norm, ThreatModel


def linear_model(classes: int, shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A linear classifier of inputs (N, *shape) with standard normal weights, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.Size(shape).numel()
    layer = nn.Linear(size, classes, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, size, generator=generator, dtype=torch.float64))
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer).eval()


def largest_change(
    weight: Tensor, inputs: Tensor, norm: str, epsilon: float | Tensor, bounds: tuple[float, float]
) -> Tensor:
    """The most by which ``weight . x`` can fall when ``x`` moves by at most epsilon inside the bounds.

    Parameters
    ----------
    weight: float64 (d,) or (n, d).
    inputs: float64 (n, d).
    epsilon: one number, or float64 (n,).

    Returns
    -------
    Tensor: float64 (n,), found by a greedy choice (l1, l0), directly (linf) or by bisection (l2).
    """
    radius = torch.as_tensor(epsilon, dtype=torch.float64).expand(len(inputs))[:, None]
    gain = weight.abs().expand_as(inputs)
    room = torch.where(weight > 0, inputs - bounds[0], bounds[1] - inputs)
    match norm:
        case "linf":
            return (gain * room.minimum(radius)).sum(1)
        case "l0":
            ordered = (gain * room).sort(1, descending=True).values
            return torch.where(torch.arange(ordered.shape[1]) < radius.floor(), ordered, 0).sum(1)
        case "l1":  # spend the budget on the steepest coordinates first, each as far as the box goes
            order = gain.argsort(dim=1, descending=True)
            spent = room.gather(1, order).cumsum(1).minimum(radius)
            steps = spent.diff(dim=1, prepend=torch.zeros_like(spent[:, :1]))
            return (gain.gather(1, order) * steps).sum(1)
        case "l2":
            low, high = torch.zeros(len(inputs), 1, dtype=torch.float64), torch.full((len(inputs), 1), 1e9).double()
            for _ in range(200):
                middle = (low + high) / 2
                fits = (gain * middle).minimum(room).square().sum(1, keepdim=True) <= radius.square()
                low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
            return (gain * (gain * low).minimum(room)).sum(1)
    raise ValueError(f"unknown norm {norm!r}")


def least_distance(weight: Tensor, margin: Tensor, inputs: Tensor, norm: str, bounds: tuple[float, float]) -> Tensor:
    """The smallest perturbation inside the bounds that makes ``weight . x`` fall by ``margin``.

    Parameters
    ----------
    weight, inputs: float64 (n, d).
    margin: float64 (n,), not negative.

    Returns
    -------
    Tensor: float64 (n,), by bisection (l0: the first count that is enough); infinite where the bounds are in the way.
    """
    size, width = inputs.shape[1], bounds[1] - bounds[0]
    widest = {"linf": width, "l2": width * size**0.5, "l1": width * size, "l0": size}[norm]
    if norm == "l0":
        enough = [largest_change(weight, inputs, norm, count, bounds) >= margin for count in range(size + 1)]
        counts = torch.arange(size + 1, dtype=torch.float64).repeat(len(inputs), 1)
        return torch.where(torch.stack(enough, 1), counts, torch.inf).amin(1)
    low, high = torch.zeros(len(inputs), dtype=torch.float64), torch.full((len(inputs),), widest, dtype=torch.float64)
    reachable = largest_change(weight, inputs, norm, widest, bounds) >= margin
    for _ in range(60):
        middle = (low + high) / 2
        change = largest_change(weight, inputs, norm, middle, bounds)
        low, high = torch.where(change < margin, middle, low), torch.where(change < margin, high, middle)
    return torch.where(reachable, high, torch.inf)


def distance_over_optimum(
    attack: Attack,
    norm: Norm,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    batch: int = 8,
    classes: int = 2,
    shape: tuple[int, ...] = (2, 3, 4),
    targeted: bool = False,
    loss: Loss | None = None,
    seed: int = 0,
) -> Tensor:
    """How far a minimum-norm attack goes on a linear model, as a multiple of the least distance, float64 (batch,).

    Infinite where it fails although the bounds leave room. The least distance is that to the nearest of the other
    classes, each of which is a target in turn if the attack is to be ``targeted``. ``loss``: the attack's own if None.
    """
    model = linear_model(classes, shape, seed)
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(batch, *shape, generator=generator, dtype=torch.float64)
    inputs = bounds[0] + (bounds[1] - bounds[0]) * share
    with torch.no_grad():
        logits = model(inputs)
    labels = logits.argmax(1)
    weights: Tensor = model[1].weight.detach()  # type: ignore[index]
    least = torch.full((batch,), torch.inf, dtype=torch.float64)
    for other in range(classes):
        gap = logits.gather(1, labels[:, None]).squeeze(1) - logits[:, other]
        reach = least_distance(weights[labels] - weights[other], gap, inputs.flatten(1), norm, bounds)
        least = torch.where(labels == other, least, torch.minimum(least, reach))
    targets: Tensor | Literal["each"] | None = None
    if targeted:
        targets = 1 - labels if classes == 2 else "each"
    result = run(attack, model, inputs, labels, ThreatModel(norm, None, bounds, targeted), targets=targets, loss=loss)
    found = torch.where(result.success, result.distance, torch.inf)
    return torch.where(least.isinf(), 1.0, found / least)
