"""The class centres, and the training loss that draws features to them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput
from advplug.training import Batch


def max_mahalanobis_centres(classes: int, width: int, norm: float = 10.0) -> Tensor:
    """Centres (classes, width), float32: of length ``norm``, every two at the same angle (Pang et al. 2020, alg. 1).

    The inner product of two centres is ``-norm^2 / (classes - 1)``, the least that all pairs can have at once, so
    that every two are ``norm * sqrt(2 classes / (classes - 1))`` apart.

    Raises
    ------
    InvalidInput: fewer than two classes, or ``width < classes - 1``, in which such centres do not fit.
    """
    if classes < 2 or width < classes - 1:
        raise InvalidInput(f"{classes} centres of width {width}: give at least 2 classes and a width of classes - 1")
    centres = torch.zeros(classes, width, dtype=torch.float64)
    centres[0, 0] = 1
    for k in range(1, classes):
        for j in range(k):
            centres[k, j] = -(1 / (classes - 1) + centres[k] @ centres[j]) / centres[j, j]
        if k < width:  # nothing is left of the last centre where the width is classes - 1
            centres[k, k] = math.sqrt(max(0.0, 1 - float(centres[k].square().sum())))
    return (norm * centres).float()


def distance_to_own_centre(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean squared distance of the features to the centre of their class, without softmax (eq. 8 up to the factor 1/2).

    The model's logits are the negative squared distances to all centres.
    """
    logits: Tensor = model(batch.x if batch.adversarial is None else batch.adversarial)
    return -logits.gather(1, batch.y[:, None]).mean(), logits
