"""Differential evolution of a population (Storn and Price 1997), without crossover."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.numerics import Noise


def children(parents: Tensor, factor: float, noise: Noise, step: int) -> Tensor:
    """One child for each parent, ``a + factor * (b - c)`` of three others of the population, float32 (n, P, K, G).

    Genes lie in [0, 1); what leaves that range is drawn anew.

    Parameters
    ----------
    parents: float32 (n, P, K, G), P at least 3.
    noise, step: the random numbers of the samples, and which of them.
    """
    count, genes = parents.shape[1], parents[0, 0].numel()
    choices, fresh = noise.uniform(step, (count, 3 + genes)).split([3, genes], 2)
    first = (choices[..., 0] * count).long()
    second = 1 + (choices[..., 1] * (count - 1)).long()
    third = 1 + (choices[..., 2] * (count - 2)).long()
    third = third + (third >= second)
    a, b, c = (chosen(parents, (first + offset) % count) for offset in (0, second, third))
    child = a + factor * (b - c)
    return torch.where((child >= 0) & (child < 1), child, fresh.reshape(parents.shape))


def chosen(population: Tensor, index: Tensor) -> Tensor:
    """Members ``index`` (n, m) of the ``population`` (n, P, K, G), (n, m, K, G)."""
    return population.take_along_dim(index[:, :, None, None], 1)
