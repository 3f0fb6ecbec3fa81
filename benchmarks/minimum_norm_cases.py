"""The trained networks of the minimum-norm benchmarks, with images and the thresholds of the thesis' tables."""

from __future__ import annotations

from typing import NamedTuple

import torch
from minimum_norm_nets import TRAINED, build
from torch import Tensor, nn

from advplug import load

DEFENSES = {
    "mnist": "adversarial-training",
    "mnist-linf": "adversarial-training",
    "mnist-l2": "adversarial-training",
    "cifar10": "adversarial-training",
    "cifar10-linf": "adversarial-training",
    "cifar10-l2": "adversarial-training",
    "mnist-relu": "kwta",
    "mnist-at": "kwta",
}
"""The defense that has each preset."""

MODELS = (*DEFENSES, *TRAINED)

_LIKE = {  # whose thresholds they use
    "mnist-relu": "mnist",
    "mnist-at": "mnist-linf",
    "mnist-smooth": "mnist-l2",
    "cifar10-resnet": "cifar10-linf",
}

_PIXELS = tuple(value / 255 for value in (1, 1.5, 2, 2.5, 3))
_MORE_PIXELS = tuple(value / 255 for value in (2, 4, 6, 8, 10))

THRESHOLDS: dict[str, dict[str, tuple[float, ...]]] = {
    "mnist": {
        "linf": (0.03, 0.05, 0.07, 0.09, 0.11),
        "l2": (0.5, 1, 1.5, 2, 2.5),
        "l1": (2, 4, 6, 8, 10),
        "l0": (5, 10, 15, 20, 25),  # ours
    },
    "mnist-linf": {
        "linf": (0.2, 0.25, 0.3, 0.325, 0.35),
        "l2": (1, 1.5, 2, 2.5, 3),
        "l1": (2.5, 5, 7.5, 10, 12.5),
        "l0": (1, 3, 5, 8, 12),  # ours
    },
    "mnist-l2": {
        "linf": (0.05, 0.1, 0.15, 0.2, 0.25),
        "l2": (1, 1.5, 2, 2.5, 3),
        "l1": (5, 8.75, 12.5, 16.25, 20),
        "l0": (5, 10, 15, 20, 25),
    },
    "cifar10": {
        "linf": _PIXELS,
        "l2": (0.1, 0.15, 0.2, 0.3, 0.4),
        "l1": (2, 4, 6, 8, 10),
        "l0": (1, 3, 5, 8, 12),  # ours
    },
    "cifar10-linf": {
        "linf": _MORE_PIXELS,
        "l2": (0.25, 0.5, 0.75, 1, 1.25),
        "l1": (5, 8.75, 12.5, 16.25, 20),
        "l0": (1, 3, 5, 8, 12),
    },
    "cifar10-l2": {
        "linf": _MORE_PIXELS,  # ours
        "l2": (0.25, 0.5, 0.75, 1, 1.25),  # ours
        "l1": (3, 6, 9, 12, 15),
        "l0": (1, 5, 10, 15, 20),
    },
}
"""Five distances for each model and norm, from the thesis; "ours" where its text gives none. Its l0 counts pixels."""


class Case(NamedTuple):
    """A network in evaluation mode with frozen parameters, and the images (N, C, H, W) in [0, 1] that it gets right.

    ``total`` counts these images and those that it gets wrong without an attack.
    """

    net: nn.Module
    x: Tensor
    y: Tensor
    total: int
    classes: int
    thresholds: dict[str, tuple[float, ...]]


def case(model: str, limit: int, skip: int = 0) -> Case:
    """``limit`` images of the data of ``model`` after the first ``skip``, less those it gets wrong.

    Raises
    ------
    UnknownPlugin, MissingWeights, DataUnavailable: the message says what to install or to fetch.
    """
    net, data, split = _found(model)
    images = load(f"data:{data}")().load(split, skip + limit)[skip:]
    net.requires_grad_(False)  # or libraries would compute gradients of the weights
    with torch.no_grad():
        logits = torch.cat([net(part) for part in images.inputs.split(256)])
    right = logits.argmax(1) == images.labels
    thresholds = THRESHOLDS[_LIKE.get(model, model)]
    return Case(net, images.inputs[right], images.labels[right], len(images), logits.shape[1], thresholds)


def _found(model: str) -> tuple[nn.Module, str, str]:
    """The network, the data that it is for, and the split that it was not trained on."""
    if model in TRAINED:
        return build(model), TRAINED[model].data, TRAINED[model].test_split
    defense = load(f"defense:{DEFENSES[model]}")()
    preset = defense.preset(model)
    return defense.build(model), preset.data, preset.test_split
