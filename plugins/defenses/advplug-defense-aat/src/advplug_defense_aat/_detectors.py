"""Detectors, one for each class: small ones side by side in one network, or large networks one after another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

SLOPE = 0.1  # of the leaky ReLU


class Detectors(nn.Module):
    """K networks, each of which scores how much an image looks like its class.

    ``taus`` (2,) holds the thresholds of the integrated and of the generative classifier: what a score must exceed.
    They accept everything until they are calibrated.

    Parameters
    ----------
    classes: number of classes K.
    """

    taus: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("taus", torch.full((2,), -torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, K) of images ``x`` (N, C, H, W): every detector sees the same ones."""
        return self.apart(x.repeat(1, self.classes, 1, 1))

    @abstractmethod
    def apart(self, stack: Tensor) -> Tensor:
        """Scores (N, K) of ``stack`` (N, K * C, H, W), which holds other images for each detector."""


class SideBySide(Detectors):
    """Small detectors: strided convolutions, a hidden layer and a score; each is a group of one grouped network.

    Parameters
    ----------
    channels, side: of the images (channels, side, side).
    widths: channels of each detector's convolutions. The first has windows of 5x5, the others of 3x3.
    hidden: width of each detector's hidden layer.
    classes: number of classes K.
    """

    def __init__(self, channels: int, side: int, widths: Sequence[int], hidden: int, classes: int = 10) -> None:
        super().__init__(classes)
        layers: list[nn.Module] = []
        for place, width in enumerate(widths):
            kernel = 3 if place else 5
            layers += [
                nn.Conv2d(classes * channels, classes * width, kernel, 2, kernel // 2, groups=classes),
                nn.LeakyReLU(SLOPE),
            ]
            channels, side = width, -(-side // 2)
        self.layers = nn.Sequential(
            *layers,
            nn.Conv2d(classes * channels, classes * hidden, side, groups=classes),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(classes * hidden, classes, 1, groups=classes),
            nn.Flatten(),
        )

    def apart(self, stack: Tensor) -> Tensor:
        return cast(Tensor, self.layers(stack))


class OneAfterAnother(Detectors):
    """Detectors that are classifiers of K classes: the score of class i is logit i of network i, as the authors do.

    Parameters
    ----------
    networks: from images (N, C, H, W) to logits (N, K); K of them.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        listed = nn.ModuleList(networks)
        super().__init__(len(listed))
        self.networks = listed

    def start_from(self, classifier: nn.Module) -> None:
        """Give every network the weights of ``classifier``."""
        for network in self.networks:
            network.load_state_dict(classifier.state_dict())

    def train(self, mode: bool = True) -> OneAfterAnother:
        """Stay in evaluation mode: batch normalisation keeps the statistics of the classifier."""
        return super().train(False)

    def apart(self, stack: Tensor) -> Tensor:
        parts = stack.chunk(self.classes, 1)
        scores = [network(part)[:, i] for i, (network, part) in enumerate(zip(self.networks, parts, strict=True))]
        return torch.stack(scores, 1)
