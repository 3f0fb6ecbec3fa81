"""Several models as one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from advplug.model import DefendedModel


class Ensemble(DefendedModel):
    """Models of the same classes, whose logits are averaged; the module ``members`` gives those of each.

    Parameters
    ----------
    models: from inputs (N, ...) to logits (N, num_classes); one or more.
    """

    def __init__(self, models: Iterable[nn.Module], num_classes: int, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__(num_classes, bounds)
        self.members = _Members(models)
        self.stochastic = any(getattr(model, "stochastic", False) for model in self.members)

    def forward(self, x: Tensor) -> Tensor:
        return self.member_logits(x).mean(1)

    def member_logits(self, x: Tensor) -> Tensor:
        """Logits (N, M, K) of the M members."""
        logits: Tensor = self.members(x)
        return logits


class _Members(nn.ModuleList):
    """A module of its own, so that a loss can ask for its output and costs no second forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([model(x) for model in self], 1)
