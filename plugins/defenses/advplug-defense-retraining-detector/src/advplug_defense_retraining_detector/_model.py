"""A classifier, and a detector of two classes beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from advplug.families import SequentialModel, convolutions
from advplug.model import Decision, DefendedModel


class Detector(SequentialModel):
    """Convolutions with batch normalisation, and two outputs: genuine and adversarial.

    Parameters
    ----------
    channels, side: of the images (channels, side, side).
    widths: channels of each convolution. The first keeps the size of the image, each other one halves it.
    """

    def __init__(self, channels: int, side: int, widths: Sequence[int]) -> None:
        stages = [(width, 2 if place else 1) for place, width in enumerate(widths)]
        for _ in widths[1:]:
            side = -(-side // 2)
        super().__init__(
            *convolutions(channels, stages), nn.Flatten(), nn.Linear(widths[-1] * side**2, 2), num_classes=2
        )


class Detected(DefendedModel):
    """Answers as ``classifier`` does, and rejects what ``detector`` takes for adversarial.

    Parameters
    ----------
    classifier: from images (N, C, H, W) to logits (N, K).
    detector: from the same images to logits (N, 2) of genuine and adversarial.
    """

    thresholds: Tensor

    def __init__(self, classifier: DefendedModel, detector: nn.Module) -> None:
        super().__init__(classifier.num_classes, classifier.bounds)
        self.classifier, self.detector = classifier, detector
        self.register_buffer("thresholds", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.classifier(x))

    def detector_scores(self, x: Tensor) -> Tensor:
        """By how much ``x`` (N, C, H, W) looks adversarial rather than genuine, (N, 1): a difference of logits."""
        logits = self.detector(x)
        return cast(Tensor, logits[:, 1:] - logits[:, :1])

    def decide(self, x: Tensor) -> Decision:
        """The class of ``x`` (N, C, H, W), rejected where its score is above zero."""
        with torch.no_grad():
            return Decision(self(x).argmax(1), self.detector_scores(x)[:, 0] <= self.thresholds)
