"""What the figures show: the loss on a plane through an image, and the losses that runs of PGD end at."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from advplug.model import DefendedModel
from advplug.training import Adversary

CERTAIN = math.log(10)
"""A cross-entropy above it means that the true class has a probability below 1 / 10: another of ten has more."""


def correct(model: DefendedModel, inputs: Tensor, labels: Tensor) -> Tensor:
    """Indices of the images (N, C, H, W) that ``model`` gets right."""
    with torch.no_grad():
        return cast(Tensor, (model(inputs).argmax(1) == labels).nonzero().squeeze(1))


@torch.no_grad()
def surface(model: DefendedModel, x: Tensor, y: Tensor, epsilon: float, *, points: int = 41, seed: int = 0) -> Tensor:
    """Cross-entropy (points, points) of the image ``x`` (C, H, W) of class ``y``, a scalar, on a plane through it.

    The plane is spanned by two random sign vectors; rows and columns go from -epsilon to epsilon along them, and
    the images are cut to [0, 1].
    """
    draws = torch.rand(2, *x.shape, generator=torch.Generator().manual_seed(seed))
    first, second = torch.where(draws < 0.5, -1.0, 1.0)
    lengths = torch.linspace(-epsilon, epsilon, points)
    ways = lengths.view(-1, 1, 1, 1, 1) * first + lengths.view(1, -1, 1, 1, 1) * second
    logits = model((x + ways).clamp(0, 1).flatten(0, 1))
    return cross_entropy(logits, y.expand(len(logits)), reduction="none").view(points, points)


def restarts(
    model: DefendedModel, x: Tensor, y: Tensor, epsilon: float, *, steps: int, step: float, runs: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Cross-entropy (n, runs), and whether misclassified, bool (n, runs), at the last iterate of each run of PGD.

    Images ``x`` (n, C, H, W) of classes ``y`` (n,); every run starts elsewhere in the ball.
    """
    adversary = Adversary(epsilon=epsilon, step_size=step, steps=steps)
    many, labels = x.repeat_interleave(runs, 0), y.repeat_interleave(runs)
    found = adversary(model, many, labels, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = model(found)
    losses = cross_entropy(logits, labels, reduction="none")
    return losses.view(len(x), runs), (logits.argmax(1) != labels).view(len(x), runs)


def undecided(broken: Tensor) -> Tensor:
    """Indices (n,) of the rows of ``broken``, bool (n, runs): first those that some runs break and some do not."""
    share = broken.double().mean(1)
    return ((share == 0) | (share == 1)).int().argsort(stable=True)
