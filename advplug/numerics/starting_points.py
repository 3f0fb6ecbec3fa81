"""Random starting points, uniform in a norm ball."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.numerics.random_numbers import Noise

_STEP = -1  # random numbers of the start, kept apart from those of the steps 0, 1, ...


def random_start(norm: str, inputs: Tensor, epsilon: Tensor, noise: Noise, width: float) -> Tensor:
    """A point of the ball of radius ``epsilon`` (n,) around each of ``inputs`` (n, ...), not yet cut to the box.

    ``width`` is the length of the box of valid values.
    """
    shape = tuple(inputs.shape[1:])
    size = inputs[0].numel()
    delta = _DRAWS[norm](noise, size).to(inputs) * (width if norm == "l0" else epsilon[:, None])
    if norm == "l0":  # any value is as far as any other: random values at a random choice of epsilon places
        rank = noise.uniform(_STEP - 1, (size,)).argsort(dim=1).argsort(dim=1)
        delta = torch.where(rank < epsilon[:, None], delta, 0)
    return inputs + delta.reshape(-1, *shape)


def _linf(noise: Noise, size: int) -> Tensor:
    return 2 * noise.uniform(_STEP, (size,)) - 1


def _l2(noise: Noise, size: int) -> Tensor:
    direction = torch.nn.functional.normalize(noise.normal(_STEP, (size,))[0])
    return direction * noise.uniform(_STEP - 1, (1,)) ** (1 / size)


def _l1(noise: Noise, size: int) -> Tensor:
    """Signed exponentials over their sum with one more of them are uniform in the l1 ball."""
    exponential = -(1 - noise.uniform(_STEP, (size + 1,))).log()
    sign = torch.where(noise.uniform(_STEP - 1, (size,)) < 0.5, -1.0, 1.0)
    return sign * exponential[:, :size] / exponential.sum(1, keepdim=True)


_DRAWS = {"linf": _linf, "l2": _l2, "l1": _l1, "l0": _linf}
