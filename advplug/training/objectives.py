"""What a training step makes small."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, NonNegative, Positive, check_hyperparameters
from advplug.training.adversary import divergence, unit_rows


@dataclass(frozen=True)
class Batch:
    """One batch of training: images ``x`` (N, C, H, W), labels ``y`` (N,), and what the adversary made of ``x``.

    ``adversarial`` is like ``x``, None where training has no adversary; ``generator`` lives on the CPU; ``soft`` (N, K)
    has a probability of every class, None where training has hard labels alone.
    """

    x: Tensor
    y: Tensor
    adversarial: Tensor | None
    generator: torch.Generator
    soft: Tensor | None = None


TrainingLoss = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""What a step makes small, a scalar, and logits (N, K) of the images whose accuracy is reported."""


class LossNetwork(nn.Module, ABC):
    """The networks of a loss that learns beside the model, for one training.

    :func:`fit` keeps them and their optimiser with each epoch. It changes the optimiser's learning rates by the same
    share as the model's.

    Parameters
    ----------
    optimiser: of the weights; the loss takes the step itself, before or after it looks at the model.
    """

    optimiser: torch.optim.Optimizer

    @abstractmethod
    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """As a :data:`TrainingLoss`; gradients of ``model`` belong to the caller, so none may be left there."""


class LearnedLoss(ABC):
    """The settings of a loss with networks of its own, such as the critic of an adversarial game."""

    @abstractmethod
    def begin(self) -> LossNetwork:
        """New networks on the CPU, weights drawn from torch's global generator."""


def cross_entropy(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy on the adversarial images, on clean ones where there is no adversary."""
    logits = model(batch.x if batch.adversarial is None else batch.adversarial)
    return F.cross_entropy(logits, batch.y), logits


@dataclass(frozen=True)
class Tempered:
    """Cross-entropy of ``softmax(z / temperature)`` with the soft labels of the batch, with its labels if it has none.

    Teacher and student of distillation (Hinton et al. 2015, section 2; Papernot et al. 2016, section IV). Clean images.
    """

    temperature: Positive

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch.x)
        wanted = batch.y if batch.soft is None else batch.soft
        return F.cross_entropy(logits / self.temperature, wanted), logits

    @torch.no_grad()
    def answers(self, model: nn.Module, images: Images, size: int = 1000) -> Tensor:
        """``softmax(z / temperature)`` (N, K) of a ``model`` in evaluation mode: soft labels for another."""
        device = next(model.parameters()).device
        logits = [model(inputs.to(device)) for inputs, _ in images.batches(size)]
        return (torch.cat(logits) / self.temperature).softmax(1).cpu()


@dataclass(frozen=True)
class Mixed:
    """Cross-entropy of the clean images, plus ``weight`` times that of the adversarial ones.

    Goodfellow et al. 2015, section 6, with equal weights: "50 %" adversarial training.
    """

    weight: Positive = 1.0

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch.x)
        loss = F.cross_entropy(logits, batch.y)
        return loss + self.weight * F.cross_entropy(model(_adversarial(batch)), batch.y), logits


@dataclass(frozen=True)
class TRADES:
    """Cross-entropy of the clean images, plus ``beta`` times the divergence between clean and adversarial answers.

    Zhang et al. 2019, equation 5 and algorithm 1. Its adversary has ``against="probabilities", start="near"``.
    """

    beta: NonNegative = 6.0

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch.x)
        apart = divergence(logits.log_softmax(1), model(_adversarial(batch)))
        return F.cross_entropy(logits, batch.y) + self.beta * apart, logits


@dataclass(frozen=True)
class VAT:
    """Virtual adversarial training (Miyato et al. 2018, equations 5 to 8, algorithm 1): needs no adversary, no labels.

    The direction in which the answer changes fastest comes from power iteration on the curvature of the divergence.

    Parameters
    ----------
    epsilon: L2 length of the perturbation.
    xi: length at which the iteration takes the gradient. The authors give 1e-6; in float32 the gradient there is
        rounding, so the default is larger.
    power_steps: iterations.
    weight: of the divergence beside the cross-entropy.
    """

    epsilon: Positive
    xi: Positive = 1e-2
    power_steps: Count = 1
    weight: NonNegative = 1.0

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch.x)
        answers = logits.detach().log_softmax(1)
        shift = self.epsilon * self.direction(model, batch.x, answers, batch.generator)
        return F.cross_entropy(logits, batch.y) + self.weight * divergence(answers, model(batch.x + shift)), logits

    def direction(self, model: nn.Module, x: Tensor, answers: Tensor, generator: torch.Generator) -> Tensor:
        """Unit vectors (N, ...) along which the log-probabilities ``answers`` (N, K) change fastest."""
        found = unit_rows(torch.randn(x.shape, generator=generator).to(x))
        for _ in range(self.power_steps):
            found.requires_grad_()
            (gradient,) = torch.autograd.grad(divergence(answers, model(x + self.xi * found)), found)
            found = unit_rows(gradient)
        return found


def _adversarial(batch: Batch) -> Tensor:
    if batch.adversarial is None:
        raise InvalidInput("this training loss needs adversarial images: give the TrainingConfig an adversary")
    return batch.adversarial
