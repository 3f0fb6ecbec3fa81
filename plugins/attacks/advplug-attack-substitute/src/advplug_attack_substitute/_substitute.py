"""The substitute black-box attack (Papernot et al. 2017, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from advplug.attack import Attack, Oracle, Problem
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.families import Ensemble, Network, SurrogateAttack, points, trained, untrained
from advplug.training import Recipe

AT_ONCE = 256
"""Images of one backward pass in :func:`augmented`."""


class Substitute(SurrogateAttack):
    """Train a substitute on what the model answers, and attack that; the model needs to answer classes alone.

    Besides ``count * 2 ** augmentations`` queries for the training, shared by all samples, each sample costs one.

    Parameters
    ----------
    attack: what attacks the substitute: any attack, or the name of its plugin.
    settings: hyper-parameters of an attack that is given by name.
    network: ``network(shape, classes)`` makes the substitute, for inputs that come scaled to [0, 1]; None for a small
        network.
    count: how many of the attacker's own images the training starts from; their labels are not used.
    augmentations: how often the training set is doubled; once fewer than trainings.
    step: how far new images lie from those that they are made of, in widths of the bounds: lambda of the paper.
    epochs: passes over the training set after each doubling.
    rate: of Adam.
    batch: images of a training step.

    Raises
    ------
    InvalidInput: a setting out of its range, or an attack that runs in stages.
    """

    def __init__(
        self,
        *,
        attack: Attack | str = "fgm",
        settings: Mapping[str, Any] | None = None,
        network: Network | None = None,
        count: int = 150,
        augmentations: int = 5,
        step: float = 0.1,
        epochs: int = 30,
        rate: float = 1e-3,
        batch: int = 128,
    ) -> None:
        super().__init__(attack, settings)
        if count < 2 or augmentations < 0:
            raise InvalidInput(f"count {count}, augmentations {augmentations}: give at least 2 and 0")
        if epochs < 1 or batch < 1:
            raise InvalidInput(f"epochs {epochs}, batch {batch}: give at least 1 of each")
        if not (0 < step < math.inf and 0 < rate < math.inf):
            raise InvalidInput(f"step {step}, rate {rate}: give positive numbers")
        self.network = network
        self.count = count
        self.augmentations = augmentations
        self.step = step
        self.epochs = epochs
        self.rate = rate
        self.batch = batch

    def own_model(self, problem: Problem, oracle: Oracle) -> Ensemble:
        assert problem.auxiliary is not None
        low, high = problem.threat.bounds
        recipe = Recipe(epochs=self.epochs, rate=self.rate, batch=self.batch, optimiser="adam", drop_at=self.epochs)
        seed = problem.options.seed
        substitute = untrained(self.network, problem, seed)
        x = points(problem.auxiliary.inputs[: self.count], problem)
        y = oracle(x).argmax(1)
        for rho in range(self.augmentations + 1):
            substitute = trained(substitute, Images(x, y), recipe, problem, seed + rho)
            if rho < self.augmentations:
                new = (x + self.step * (high - low) * towards(substitute, x, y)).clamp(low, high)
                x, y = torch.cat((x, new)), torch.cat((y, oracle(new).argmax(1)))
        return Ensemble([substitute], problem.model.num_classes, (low, high))


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
