"""Saliency of features and of pairs of them (Papernot et al. 2016, equations 8 to 10)."""

from __future__ import annotations

import torch
from torch import Tensor


def best_single(alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """The most salient unit of each sample, bool (n, U), and its saliency (n,), not above 0 where there is none.

    Parameters
    ----------
    alpha, beta: by how much the target's score and the sum of all others rise with each unit, (n, U); ``-inf`` and
        ``inf`` where it may not change.
    """
    saliency, index = product(alpha, -beta).max(1)
    return marked(index[:, None], alpha), saliency


def best_pair(alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """The same of the most salient pair of units, bool (n, U) and (n,).

    A pair is worth ``(a_p + a_q) (c_p + c_q)`` with c the opposite of beta. Another unit that is ahead in both a and c
    could take the place of p or q, so both are among the units that at most one other is ahead of.
    """
    gain = -beta
    units = promising(alpha, gain)
    a, c = alpha.gather(1, units), gain.gather(1, units)
    value = product(a[:, :, None] + a[:, None], c[:, :, None] + c[:, None])
    value.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    saliency, index = value.flatten(1).max(1)
    pair = torch.stack((index // len(a[0]), index % len(a[0])), 1)
    return marked(units.gather(1, pair), alpha), saliency


def promising(a: Tensor, c: Tensor) -> Tensor:
    """Indices (n, m) of the units that at most one other surpasses in both ``a`` and ``c`` (n, U); m the most of all.

    Of units sorted by falling a, those whose c is above the second largest before it.
    """
    order = a.argsort(dim=1, descending=True, stable=True)
    c = c.gather(1, order)
    lowest = torch.full_like(c[:, :1], -torch.inf)
    first = torch.cat((lowest, c.cummax(1).values[:, :-1]), 1)  # the largest before each
    second = torch.cat((lowest, torch.minimum(c, first).cummax(1).values[:, :-1]), 1)
    ahead = c > second
    rank = (~ahead).argsort(dim=1, stable=True)[:, : max(int(ahead.sum(1).max()), 2)]
    return order.gather(1, rank)


def product(a: Tensor, c: Tensor) -> Tensor:
    """``a * c`` where both are positive, else -inf."""
    return torch.where((a > 0) & (c > 0), a * c, -torch.inf)


def marked(indices: Tensor, like: Tensor) -> Tensor:
    """True at ``indices`` (n, k) of each row of ``like`` (n, U)."""
    return torch.zeros_like(like, dtype=torch.bool).scatter(1, indices, True)
