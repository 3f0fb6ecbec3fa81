"""Training of classifiers, standard and adversarial, for defenses and for training loops of one's own.

    from advplug.training import AttackAdversary, TrainingConfig, fit

    adversary = AttackAdversary(attack=PGD(steps=7), threat="linf:8/255")
    fit(net, (images, labels), TrainingConfig(epochs=10, learning_rate=0.1, adversary=adversary))

The seed fixes it all. Every adversary is a function of model, images and labels, which serves other loops as well.
"""

from __future__ import annotations

from advplug.training.adversary import Adversary, AnyOf, FromModels, InnerAdversary, Norm
from advplug.training.attacks import AttackAdversary, attacked_images
from advplug.training.checkpoints import checkpoints
from advplug.training.config import TrainingConfig
from advplug.training.configured import Configuration, ConfiguredDefense
from advplug.training.fitting import PROBES, fit, seeded
from advplug.training.objectives import (
    TRADES,
    VAT,
    Batch,
    LearnedLoss,
    LossNetwork,
    Mixed,
    Tempered,
    TrainingLoss,
    cross_entropy,
)
from advplug.training.through import MMA, boundary_distance

__all__ = [
    "MMA",
    "PROBES",
    "TRADES",
    "VAT",
    "Adversary",
    "AnyOf",
    "AttackAdversary",
    "Batch",
    "Configuration",
    "ConfiguredDefense",
    "FromModels",
    "InnerAdversary",
    "LearnedLoss",
    "LossNetwork",
    "Mixed",
    "Norm",
    "Tempered",
    "TrainingConfig",
    "TrainingLoss",
    "attacked_images",
    "boundary_distance",
    "checkpoints",
    "cross_entropy",
    "fit",
    "seeded",
]
