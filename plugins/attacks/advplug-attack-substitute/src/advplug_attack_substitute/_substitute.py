"""The substitute black-box attack (Papernot et al. 2017, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from advplug.attack import Attack, Gateway, Problem
from advplug.data import Images
from advplug.families import Ensemble, Network, SurrogateAttack, trained, untrained
from advplug.hyperparameters import AtLeast, Count, Natural, Positive
from advplug.training import TrainingConfig

AT_ONCE = 256
"""Images of one backward pass in :func:`augmented`."""


@dataclass(frozen=True, kw_only=True)
class Substitute(SurrogateAttack):
    """Train a substitute on what the model answers, and attack that; the model needs to answer classes alone.

    Besides ``num_images * 2 ** augmentations`` queries for the training, shared by all samples, each sample costs one.

    Parameters
    ----------
    attack: what attacks the substitute: any attack, or the name of its plugin.
    settings: hyper-parameters of an attack that is given by name.
    network: ``network(shape, classes)`` makes the substitute, for inputs that come scaled to [0, 1]; None for a small
        network.
    num_images: how many of the attacker's own images the training starts from; their labels are not used.
    augmentations: how often the training set is doubled; once fewer than trainings.
    augmentation_step_size: how far new images lie from those that they are made of, in widths of the bounds: lambda of
        the paper.
    epochs: passes over the training set after each doubling.
    learning_rate: of Adam.
    batch_size: images of a training step.

    Raises
    ------
    InvalidInput: a setting out of its range, or an attack that runs in stages.
    """

    attack: Attack | str = "fgm"
    network: Network | None = None
    num_images: Annotated[int, AtLeast(2)] = 150
    augmentations: Natural = 5
    augmentation_step_size: Positive = 0.1
    epochs: Count = 30
    learning_rate: Positive = 1e-3
    batch_size: Count = 128

    def own_model(self, problem: Problem, gateway: Gateway) -> Ensemble:
        own = problem.own_images
        low, high = problem.threat.bounds
        step, seed, config = self.augmentation_step_size * (high - low), problem.options.seed, self._training
        substitute = untrained(self.network, problem, seed)
        x = gateway.cast(own.inputs[: self.num_images])
        y = gateway.scores(x).argmax(1)
        for rho in range(self.augmentations + 1):
            substitute = trained(substitute, Images(x, y), config, problem, seed + rho)
            if rho < self.augmentations:
                new = (x + step * towards(substitute, x, y)).clamp(low, high)
                x, y = torch.cat((x, new)), torch.cat((y, gateway.scores(new).argmax(1)))
        return Ensemble([substitute], problem.model.num_classes, (low, high))

    @property
    def _training(self) -> TrainingConfig:
        """At a constant learning rate."""
        return TrainingConfig(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            optimiser="adam",
            drop_at=self.epochs,
        )


def towards(substitute: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Signs (n, ...) of the gradient at ``x`` (n, ...) of the probability that ``substitute`` gives class ``y`` (n,).

    Those of the log odds, which are the same and have a slope where the probability rounds to 1.
    """
    signs = []
    for images, classes in zip(x.split(AT_ONCE), y.split(AT_ONCE), strict=True):
        point, own = images.detach().requires_grad_(), classes[:, None]
        logits = substitute(point)
        odds = logits.gather(1, own).squeeze(1) - logits.scatter(1, own, -torch.inf).logsumexp(1)
        signs.append(torch.autograd.grad(odds.sum(), point)[0].sign())
    return torch.cat(signs)
