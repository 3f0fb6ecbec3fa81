"""The four attacks whose images the detector is trained on: gradient steps, each with another loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from advplug_attack_fgm import GradientSteps
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.data import Images
from advplug.losses import CrossEntropy, Logit, Loss, MultiTargetLogit


class StudiedLoss(NamedTuple):
    """A loss of the study (eq. 12 to 15), and whether the step follows the sign of its gradient."""

    loss: Loss
    sign: bool = False


LOSSES: dict[str, StudiedLoss] = {
    "CE": StudiedLoss(CrossEntropy()),
    "CE-sign": StudiedLoss(CrossEntropy(), sign=True),
    "Logit": StudiedLoss(Logit()),
    "M-logit": StudiedLoss(MultiTargetLogit(confidence=20.0)),
}


def gradient_steps(name: str) -> GradientSteps:
    """The authors' 250 steps of equal perturbation towards a target, for the loss ``name`` of :data:`LOSSES`."""
    return GradientSteps(steps=250, sign=LOSSES[name].sign)


def wrong_classes(labels: Tensor) -> Tensor:
    """A random class (N,) for each of ``labels`` (N,) of ten, never its own, always the same for so many labels."""
    generator = torch.Generator().manual_seed(len(labels))
    return (labels + torch.randint(1, 10, labels.shape, generator=generator).to(labels.device)) % 10


def attacked(classifier: nn.Module, images: Images, name: str) -> Tensor:
    """What the attack ``name`` makes of ``images``: those (n, ...) that the classifier then takes for the target."""
    found = run(
        gradient_steps(name),
        classifier,
        images.inputs,
        images.labels,
        ThreatModel("l2", targeted=True),
        targets=wrong_classes(images.labels),
        loss=LOSSES[name].loss,
        progress=False,
    )
    return found.adversarials[found.success]
