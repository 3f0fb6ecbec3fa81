"""What the figure shows: how far apart logits are, and how long the gradient of the cross-entropy is."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

SATURATED = -float(torch.tensor(torch.finfo(torch.float32).tiny * torch.finfo(torch.float32).eps).double().log())
"""Beyond this gap between two logits, 103, the probability of the smaller one is zero in float32."""


def gaps(model: torch.nn.Module, x: Tensor) -> Tensor:
    """Largest logit less the second largest, (N,), for images ``x`` (N, C, H, W)."""
    with torch.no_grad():
        top = model(x).topk(2, dim=1).values
    return cast(Tensor, top[:, 0] - top[:, 1])


def slopes(model: torch.nn.Module, x: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    """Euclidean length (N,) of the gradient of the cross-entropy of ``z / temperature`` with respect to ``x``.

    The gradient is computed in the dtype of ``x``, its length in double: squares of small values vanish in float32.
    """
    x = x.detach().requires_grad_()
    loss = cross_entropy(model(x) / temperature, y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    return cast(Tensor, torch.linalg.vector_norm(gradient.double().flatten(1), dim=1))


def correct(model: torch.nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Which images ``x`` (N, C, H, W) the model gives their class ``y`` (N,), bool (N,)."""
    with torch.no_grad():
        return cast(Tensor, model(x).argmax(1) == y)
