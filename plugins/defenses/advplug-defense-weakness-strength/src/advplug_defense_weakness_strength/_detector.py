"""The tests of the detector (Yu et al. 2019, section 3): stability under noise, and steps to another class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Descent:
    """Plain gradient descent until the predicted class changes; neither sign nor normalisation.

    Parameters
    ----------
    rate: learning rate, for inputs in [0, 1].
    radius: the points stay within that Linf distance of the input.
    cap: most steps.
    targeted: descend the cross-entropy towards a class drawn at random (the paper's C2t); otherwise ascend that of
        the predicted class (C2u).
    """

    rate: float
    radius: float
    cap: int
    targeted: bool = True

    def __call__(self, logits: Logits, x: Tensor) -> Tensor:
        """Steps until another class than that of ``x`` (N, ...) is predicted, whichever it is; float (N,).

        ``cap + 1`` where none is within ``cap`` steps. Random targets come from torch's global generator.
        """
        with torch.no_grad():
            scores = logits(x)
        own, target = scores.argmax(1), random_others(scores) if self.targeted else scores.argmax(1)
        sign = -1.0 if self.targeted else 1.0
        steps = x.new_full((len(x),), self.cap + 1.0)
        rows, point = torch.arange(len(x), device=x.device), x.detach()
        for step in range(1, self.cap + 1):
            with torch.enable_grad():
                point = point.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(F.cross_entropy(logits(point), target[rows], reduction="sum"), point)
            moved = point.detach() + sign * self.rate * gradient
            moved = torch.minimum(torch.maximum(moved, x[rows] - self.radius), x[rows] + self.radius).clamp(0, 1)
            with torch.no_grad():
                left = logits(moved).argmax(1) != own[rows]
            steps[rows[left]] = step
            rows, point = rows[~left], moved[~left]
            if not len(rows):
                break
        return steps


@torch.no_grad()
def instability(logits: Logits, x: Tensor, sigma: float) -> Tensor:
    """``||p(x) - p(x + sigma n)||_1`` for one Gaussian draw n from torch's global generator (C1), float (N,)."""
    clean, noisy = (logits(point).softmax(1) for point in (x, x + sigma * torch.randn_like(x)))
    return (clean - noisy).abs().sum(1)


def random_others(scores: Tensor) -> Tensor:
    """A class drawn uniformly among all but the likeliest, int64 (N,), for ``scores`` (N, K)."""
    count = scores.shape[1]
    offset = 1 + (torch.rand(len(scores), device=scores.device) * (count - 1)).long().clamp(max=count - 2)
    return (scores.argmax(1) + offset) % count
