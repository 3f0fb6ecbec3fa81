"""The deployed classifier, which sees recovered images, and the same network without the recovery."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from advplug.model import DefendedModel
from advplug.training import Batch
from advplug_defense_sparse_fourier._recovery import IterativeHardThresholding


class Recovered(DefendedModel):
    """f(p(x)): a network f behind a recovery p.

    Every step of the recovery can be differentiated, so that an attack through it needs nothing else.

    Parameters
    ----------
    recovery: p, from images (N, C, H, W) to images.
    base: f, from images to logits (N, K); it is trained on compressed images.
    num_classes: number of classes K.
    """

    def __init__(self, recovery: IterativeHardThresholding, base: nn.Module, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.recovery = recovery
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) for images (N, C, H, W) in [0, 1]."""
        return cast(Tensor, self.base(self.recovery(x)))


class Unrecovered(DefendedModel):
    """The control: f(x), the base classifier alone. It was trained on compressed images, and sees whole ones."""

    def __init__(self, recovery: IterativeHardThresholding, base: nn.Module, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.recovery = recovery
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) for images (N, C, H, W) in [0, 1]."""
        return cast(Tensor, self.base(x))


def on_compressed(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The training loss: cross-entropy of the base classifier on compressed images."""
    assert isinstance(model, Recovered | Unrecovered)
    logits = cast(Tensor, model.base(model.recovery.compressed(batch.x)))
    return nn.functional.cross_entropy(logits, batch.y), logits
