"""Which samples are taken where not all are."""

from __future__ import annotations

import torch


def drawn_order(labels: torch.Tensor, limit: int, seed: int) -> torch.Tensor:
    """Places in ``labels``, int64 (N,), of which the first ``limit`` are drawn evenly across the classes.

    Folders and many files are sorted by class: their first images are all of one.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    turn = torch.empty_like(order)  # the first of each class, then the second of each, ...
    for label in labels.unique():
        own = (labels[order] == label).nonzero().squeeze(1)
        turn[own] = torch.arange(len(own))
    order = order[turn.argsort(stable=True)]
    return torch.cat((order[:limit].sort().values, order[limit:]))
