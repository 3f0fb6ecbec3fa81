"""How many inputs fit into one forward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DEFAULT_BUDGET = 2**30
"""Bytes of activations that one forward pass may hold, unless told otherwise."""

_OVERHEAD = 3  # activations are kept for the backward pass, gradients and temporaries come on top


@torch.no_grad()
def rows_within(budget: int, model: nn.Module, example: Tensor) -> int:
    """Number of inputs like ``example`` (1, ...) whose activations fit into ``budget`` bytes; at least 1."""
    used = [example.nbytes]

    def count(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            used.append(output.nbytes)

    hooks = [module.register_forward_hook(count) for module in model.modules() if not list(module.children())]
    try:
        model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, budget // (_OVERHEAD * sum(used)))
