"""Training of classifiers, standard and adversarial, for the defenses that need no other. The seed fixes it all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.data import Images
from advplug.defense import Defense, EpochCallback
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.numerics import projections

Norm = Literal["linf", "l2"]
Optimiser = Literal["sgd", "adam"]
Module = TypeVar("Module", bound=nn.Module)

PROBES = 256
"""Training images, held out, on which PGD checks an adversarially trained network after every epoch."""


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """PGD from a random start, for training; one step is the fast method of Wong et al. 2020.

    Under Linf the start is uniform in the ball and a step follows the sign of the gradient (Madry et al. 2018). Under
    L2 direction and length of the start are uniform and a step follows the normalised gradient. The network is in
    whatever mode it is found in: :func:`fit` leaves it in training mode, so that batch normalisation uses the
    statistics of the adversarial batch, as the next update will.

    Parameters
    ----------
    epsilon: budget.
    step_size: length of a step.
    steps: number of steps.
    norm: of the budget, ``linf`` or ``l2``.
    clip: keep the images in [0, 1]; the authors of kWTA clip the perturbation alone.

    Raises
    ------
    InvalidInput: another norm.
    """

    epsilon: float
    step_size: float
    steps: int
    norm: Norm = "linf"
    clip: bool = True

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise InvalidInput(f"norm {self.norm!r}: adversarial training knows {' and '.join(get_args(Norm))}")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Adversarial images (N, C, H, W) for ``x`` (N, C, H, W) of labels ``y`` (N,)."""
        # Drawn on the CPU, so that a seed means the same start on every device.
        delta = self._inside(x, self._start(x, generator).to(x.device))
        for _ in range(self.steps):
            delta.requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(model(x + delta), y), delta)
            delta = self._inside(x, delta.detach() + self.step_size * self._direction(gradient))
        return x + delta

    def _start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if self.norm == "linf":
            return self.epsilon * (2 * torch.rand(x.shape, generator=generator) - 1)
        direction = F.normalize(torch.randn(x.shape, generator=generator).flatten(1))
        return (self.epsilon * torch.rand(len(x), 1, generator=generator) * direction).view(x.shape)

    def _direction(self, gradient: Tensor) -> Tensor:
        if self.norm == "linf":
            return gradient.sign()
        flat = gradient.flatten(1)
        # The gradients of confident images are so small that their squares vanish; the largest entry never does.
        peak = flat.abs().amax(1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
        return F.normalize(flat / peak).view_as(gradient)

    def _inside(self, x: Tensor, delta: Tensor) -> Tensor:
        """``delta`` brought into the budget and, with ``clip``, into the room that the box leaves."""
        if self.norm == "linf":
            delta = delta.clamp(-self.epsilon, self.epsilon)
            return (x + delta).clamp(0, 1) - x if self.clip else delta
        flat, clean = delta.flatten(1), x.flatten(1)
        radius = flat.new_full((len(flat), 1), self.epsilon)
        # A box as wide as the ball binds nowhere.
        low, high = (-clean, 1 - clean) if self.clip else (-radius.expand_as(flat), radius.expand_as(flat))
        return projections.l2(flat, radius, low, high).view_as(delta)


@dataclass(frozen=True)
class Batch:
    """One batch of training: images ``x`` (N, C, H, W), labels ``y`` (N,), and what the adversary made of ``x``.

    ``adversarial`` is like ``x``, None where training has no adversary; ``generator`` lives on the CPU.
    """

    x: Tensor
    y: Tensor
    adversarial: Tensor | None
    generator: torch.Generator


TrainingLoss = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""What a step makes small, a scalar, and logits (N, K) of the images whose accuracy is reported."""


def cross_entropy(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy on the adversarial images, on clean ones where there is no adversary."""
    logits = model(batch.x if batch.adversarial is None else batch.adversarial)
    return F.cross_entropy(logits, batch.y), logits


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a preset is trained.

    Parameters
    ----------
    epochs: passes over the data.
    learning_rate: the highest one.
    batch_size: images a step.
    augment: mirror at random and crop at random after padding by 4.
    adversary: makes the images of adversarial training; None trains on clean ones.
    loss: the training loss; cross-entropy unless given.
    drop_at: epoch from which the rate is a tenth, or several, each of which divides it again; ``epochs`` for a
        constant one. None warms up over 15 % of the steps, then follows a cosine.
    ramp: epochs over which budget and step of the adversary grow from zero to their full size. From a wide budget and
        random weights, training may never leave the constant answer.
    optimiser: ``sgd``, stochastic gradient descent with momentum 0.9, or ``adam``.
    drop_by: what the rate is divided by at each epoch of ``drop_at``.
    weight_decay: share of the weights that joins their gradient.

    Raises
    ------
    InvalidInput: another optimiser.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 128
    augment: bool = False
    adversary: Adversary | None = None
    drop_at: int | tuple[int, ...] | None = None
    ramp: int = 0
    optimiser: Optimiser = "sgd"
    loss: TrainingLoss = cross_entropy
    drop_by: float = 10.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.optimiser not in get_args(Optimiser):
            raise InvalidInput(f"optimiser {self.optimiser!r}: choose one of {', '.join(get_args(Optimiser))}")

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

    def adversary_at(self, step: int, steps_per_epoch: int) -> Adversary | None:
        """The adversary of step ``step``, counted from 0."""
        if self.adversary is None or step >= self.ramp * steps_per_epoch:
            return self.adversary
        share = step / (self.ramp * steps_per_epoch)
        return replace(
            self.adversary, epsilon=share * self.adversary.epsilon, step_size=share * self.adversary.step_size
        )


def seeded(seed: int, make: Callable[[], Module]) -> Module:
    """``make()`` with torch's global generator seeded, which is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def fit(
    model: nn.Module,
    data: Images,
    config: TrainingConfig,
    *,
    seed: int,
    device: torch.device | str,
    on_epoch: EpochCallback,
) -> None:
    """Train ``model`` in place and leave it in evaluation mode on ``device``.

    ``on_epoch`` gets the mean loss and accuracy over the training batches, and after adversarial training ``pgd``, the
    accuracy under 20 steps of PGD on held-out images: a fall to zero while ``accuracy`` rises means that a
    single-step adversary was overfitted.

    Raises
    ------
    InvalidInput: no images.
    """
    probes = data[: PROBES if config.adversary and len(data) > 2 * PROBES else 0]
    data = data[len(probes) :]
    if len(data) < 2:
        raise InvalidInput(f"{data.name}: {len(data)} images, too few to train on")
    model.to(device).train()
    generator = torch.Generator().manual_seed(seed)
    optimiser = _optimiser(model, config)
    per_epoch = math.ceil(len(data) / config.batch_size)
    step = 0
    for epoch in range(1, config.epochs + 1):
        loss_sum = torch.zeros((), device=device)
        right = torch.zeros((), device=device)
        for inputs, labels in data.batches(config.batch_size, generator):
            if len(inputs) == 1:  # batch normalisation needs two
                continue
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate_at(step, per_epoch)
            adversary = config.adversary_at(step, per_epoch)
            step += 1
            x, y = (_augment(inputs, generator) if config.augment else inputs).to(device), labels.to(device)
            adversarial = None if adversary is None else adversary(model, x, y, generator)
            loss, logits = config.loss(model, Batch(x, y, adversarial, generator))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss_sum += loss.detach() * len(y)
            right += (logits.detach().argmax(1) == y).sum()
        metrics = {"loss": loss_sum.item() / len(data), "accuracy": right.item() / len(data)}
        if config.adversary is not None and len(probes):
            metrics["pgd"] = _under_pgd(model, probes.to(device), config.adversary, seed)
        on_epoch(epoch, config.epochs, metrics)
    model.eval()


def _optimiser(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    if config.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.SGD(model.parameters(), lr=config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)


def _augment(x: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """Each image mirrored at random, padded with zeros and cropped back at a random place."""
    count, _, height, width = x.shape
    mirrored = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.5, x.flip(3), x)
    padded = F.pad(mirrored, (pad,) * 4)
    top = torch.randint(2 * pad + 1, (count, 1), generator=generator) + torch.arange(height)
    left = torch.randint(2 * pad + 1, (count, 1), generator=generator) + torch.arange(width)
    rows = torch.arange(count)[:, None, None]
    # Advanced indices around a slice put the channels last.
    return padded[rows, :, top[:, :, None], left[:, None, :]].permute(0, 3, 1, 2)


def _under_pgd(model: nn.Module, data: Images, adversary: Adversary, seed: int) -> float:
    """Accuracy on ``data`` under 20 steps of PGD at the training budget."""
    model.eval()
    strong = replace(adversary, step_size=adversary.epsilon / 8, steps=20)
    attacked = strong(model, data.inputs, data.labels, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        right = int((model(attacked).argmax(1) == data.labels).sum())
    model.train()
    return right / len(data)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset of a :class:`ConfiguredDefense`.

    Parameters
    ----------
    network: gives the untrained model on the CPU, its weights drawn from torch's global generator.
    training: how it is trained.
    """

    network: Callable[[], DefendedModel]
    training: TrainingConfig


class ConfiguredDefense(Defense):
    """A defense whose presets differ in network and training; a subclass lists them in ``configurations``."""

    configurations: ClassVar[Mapping[str, Configuration]]

    def network(self, preset: str) -> DefendedModel:
        """The untrained model of ``preset``, its weights drawn from torch's global generator.

        Raises
        ------
        InvalidInput: unknown preset.
        """
        self.preset(preset)
        return self.configurations[preset].network()

    def initial(self, preset: str, data: Images, seed: int) -> DefendedModel:
        """:meth:`network` with weights of ``seed``: what :meth:`train` starts from, on the CPU.

        A defense whose network takes something from ``data``, such as the mean of the images, overrides it.
        """
        return seeded(seed, lambda: self.network(preset))

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train ``preset`` from scratch; see :class:`advplug.Defense`.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        model = self.initial(preset, data, seed)
        fit(model, data, self.configurations[preset].training, seed=seed, device=device, on_epoch=on_epoch)
        return model
