"""How a classifier is trained: rates, batches, adversary, objective, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from advplug.errors import InvalidInput
from advplug.training.adversary import InnerAdversary
from advplug.training.objectives import LearnedLoss, TrainingLoss, cross_entropy

Optimiser = Literal["sgd", "nesterov", "adam"]
Keep = Literal["last", "best"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a preset is trained.

    Parameters
    ----------
    epochs: passes over the data.
    learning_rate: the highest one.
    batch_size: images a step.
    augment: mirror at random and crop at random after padding by 4.
    adversary: makes the images of adversarial training, :class:`Adversary` or any other; None trains on clean ones.
    loss: the training loss; cross-entropy unless given. A :class:`LearnedLoss` begins anew with each training.
    drop_at: epoch from which the rate is a tenth, or several, each of which divides it again; ``epochs`` for a
        constant one. None warms up over 15 % of the steps, then follows a cosine.
    ramp: epochs over which budget and step of the adversary grow from zero to their full size. From a wide budget and
        random weights, training may never leave the constant answer.
    optimiser: ``sgd``, stochastic gradient descent with momentum, ``nesterov``, the same with Nesterov's momentum, or
        ``adam``.
    momentum: of ``sgd`` and ``nesterov``; of ``adam`` the decay of the mean gradient, beta 1.
    drop_by: what the rate is divided by at each epoch of ``drop_at``.
    weight_decay: share of the weights that joins their gradient.
    keep: the weights of the ``last`` epoch, or those of the ``best``: the highest robust accuracy on held-out images,
        which falls again where adversarial training overfits (Rice et al. 2020). Needs an adversary.
    patience: end after so many epochs without a new best one; None trains all epochs.
    precision: ``bfloat16`` runs forward passes under autocast; weights and updates stay in float32.

    Raises
    ------
    InvalidInput: another optimiser, precision or way to keep; ``best`` or ``patience`` without an adversary.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 128
    augment: bool = False
    adversary: InnerAdversary | None = None
    drop_at: int | tuple[int, ...] | None = None
    ramp: int = 0
    optimiser: Optimiser = "sgd"
    loss: TrainingLoss | LearnedLoss = cross_entropy
    drop_by: float = 10.0
    weight_decay: float = 0.0
    keep: Keep = "last"
    patience: int | None = None
    precision: Precision = "float32"
    momentum: float = 0.9

    def __post_init__(self) -> None:
        for name, known in (("optimiser", Optimiser), ("keep", Keep), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise InvalidInput(f"{name} {getattr(self, name)!r}: choose one of {', '.join(get_args(known))}")
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInput(f"{name} is {value}: give at least 1")
        if self.adversary is None and (self.keep == "best" or self.patience is not None):
            raise InvalidInput("keep='best' and patience compare robust accuracies: give an adversary")

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of step ``step``, counted from 0."""
        if self.drop_at is not None:
            drops = (self.drop_at,) if isinstance(self.drop_at, int) else self.drop_at
            return self.learning_rate / self.drop_by ** sum(step >= epoch * steps_per_epoch for epoch in drops)
        done = (step + 1) / (self.epochs * steps_per_epoch)
        warm = 0.15
        if done < warm:
            return self.learning_rate * done / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm)))

    def adversary_at(self, step: int, steps_per_epoch: int) -> InnerAdversary | None:
        """The adversary of step ``step``, counted from 0."""
        if self.adversary is None or step >= self.ramp * steps_per_epoch:
            return self.adversary
        return self.adversary.scaled(step / (self.ramp * steps_per_epoch))
