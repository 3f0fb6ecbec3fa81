"""The adversaries that training has built in: PGD in the loop, and one that moves between models or methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.errors import InvalidInput
from advplug.numerics import projections

Norm = Literal["linf", "l2"]
Start = Literal["uniform", "input", "near"]
Against = Literal["labels", "answers", "probabilities"]

NEAR = 1e-3
"""Standard deviation of the start ``near`` (Zhang et al. 2019, algorithm 1)."""


class InnerAdversary(ABC):
    """Makes the adversarial images of a training step. A plain function: it serves any training loop.

    x_adv = Adversary(epsilon=8 / 255, step_size=2 / 255, steps=7)(model, x, y)
    """

    @abstractmethod
    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Adversarial images (N, ...) for ``x`` (N, ...) of labels ``y`` (N,), without a gradient.

        Random numbers come from ``generator``, which lives on the CPU, or from torch's global one.
        """

    @abstractmethod
    def scaled(self, share: float) -> InnerAdversary:
        """The same with ``share`` of the budget, for training that begins with small ones."""

    def check(self) -> InnerAdversary:
        """The adversary that measures robust accuracy after each epoch: itself, unless that would be too weak."""
        return self


@dataclass(frozen=True, kw_only=True)
class Adversary(InnerAdversary):
    """PGD from a random start, for training; one step is the fast method of Wong et al. 2020.

    Under Linf the start is uniform in the ball and a step follows the sign of the gradient (Madry et al. 2018). Under
    L2 direction and length of the start are uniform and a step follows the normalised gradient. The network is in
    whatever mode it is found in: :func:`fit` leaves it in training mode, so that batch normalisation uses the
    statistics of the adversarial batch, as the next update will.

    One step of length ``epsilon`` from the input is FGSM (Goodfellow et al. 2015): ``steps=1, step_size=epsilon,
    start="input"``.

    Parameters
    ----------
    epsilon: budget.
    step_size: length of a step.
    steps: number of steps.
    norm: of the budget, ``linf`` or ``l2``.
    clip: keep the images in [0, 1]; the authors of kWTA clip the perturbation alone.
    start: ``uniform`` in the ball, at the ``input``, or ``near`` it: normal noise of standard deviation 0.001, as
        TRADES does.
    against: what a step makes large: the cross-entropy with the true ``labels``; with the network's own ``answers``, so
        that the perturbation does not tell the label (Kurakin et al. 2017, section 4: label leaking); or the divergence
        from its clean ``probabilities``, as TRADES does, whose gradient is zero at the input.

    Raises
    ------
    InvalidInput: another norm, start or aim, or a divergence that begins where its gradient is zero.
    """

    epsilon: float
    step_size: float
    steps: int
    norm: Norm = "linf"
    clip: bool = True
    start: Start = "uniform"
    against: Against = "labels"

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise InvalidInput(f"norm {self.norm!r}: adversarial training knows {' and '.join(get_args(Norm))}")
        for name, known in (("start", get_args(Start)), ("against", get_args(Against))):
            if getattr(self, name) not in known:
                raise InvalidInput(f"{name} {getattr(self, name)!r}: choose one of {', '.join(known)}")
        if self.against == "probabilities" and self.start == "input":
            raise InvalidInput("against='probabilities' has no gradient at the input: give start='near'")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Adversarial images (N, C, H, W) for ``x`` (N, C, H, W) of labels ``y`` (N,).

        Logits (N, K, D) take labels (N, D): a model may give several answers to each image.
        """
        goal = self._goal(model, x, y)
        # Drawn on the CPU, so that a seed means the same start on every device.
        delta = self._inside(x, self._start(x, generator).to(x))
        for _ in range(self.steps):
            delta.requires_grad_()
            with torch.enable_grad():
                loss = self._loss(model(x + delta), goal)
            (gradient,) = torch.autograd.grad(loss, delta)
            delta = self._inside(x, delta.detach() + self.step_size * self._direction(gradient))
        return x + delta

    def scaled(self, share: float) -> Adversary:
        return replace(self, epsilon=share * self.epsilon, step_size=share * self.step_size)

    def check(self) -> Adversary:
        """20 steps of PGD at the same budget: one step alone says nothing about overfitting to one step."""
        return replace(self, step_size=self.epsilon / 8, steps=20, start="uniform", against="labels")

    def _goal(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Classes (N,) or log-probabilities (N, K) to move away from."""
        if self.against == "labels":
            return y
        with torch.no_grad():
            logits = model(x)
        return torch.argmax(logits, 1) if self.against == "answers" else torch.log_softmax(logits, 1)

    def _loss(self, logits: Tensor, goal: Tensor) -> Tensor:
        return divergence(goal, logits) if self.against == "probabilities" else F.cross_entropy(logits, goal)

    def _start(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if self.start == "input":
            return torch.zeros(x.shape)
        if self.start == "near":
            return NEAR * torch.randn(x.shape, generator=generator)
        if self.norm == "linf":
            return self.epsilon * (2 * torch.rand(x.shape, generator=generator) - 1)
        direction = F.normalize(torch.randn(x.shape, generator=generator).flatten(1))
        return (self.epsilon * torch.rand(len(x), 1, generator=generator) * direction).view(x.shape)

    def _direction(self, gradient: Tensor) -> Tensor:
        return torch.sign(gradient) if self.norm == "linf" else unit_rows(gradient)

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
class FromModels(InnerAdversary):
    """Ensemble adversarial training (Tramer et al. 2018): each batch is attacked on one of several models.

    One of ``others`` or the trained model itself is drawn for each batch, all alike. What is made on a fixed model does
    not follow the trained one, which thereby cannot hide its gradient from it.

    Parameters
    ----------
    of: the adversary, as a rule of one step.
    others: trained models that take the same images; they are put into evaluation mode and keep their weights.
    """

    of: InnerAdversary
    others: Sequence[nn.Module]

    def __post_init__(self) -> None:
        if not self.others:
            raise InvalidInput("others is empty: give at least one trained model besides the one in training")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = int(torch.randint(len(self.others) + 1, (), generator=generator))
        source = model if drawn == len(self.others) else self.others[drawn].to(x.device).eval()
        return self.of(source, x, y, generator)

    def scaled(self, share: float) -> FromModels:
        return replace(self, of=self.of.scaled(share))

    def check(self) -> InnerAdversary:
        return self.of.check()


@dataclass(frozen=True)
class AnyOf(InnerAdversary):
    """Joint training against several adversaries: one of them, drawn for each batch.

    Parameters
    ----------
    adversaries: at least one; the first one's check measures robust accuracy.
    """

    adversaries: Sequence[InnerAdversary]

    def __post_init__(self) -> None:
        if not self.adversaries:
            raise InvalidInput("adversaries is empty: give at least one")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = int(torch.randint(len(self.adversaries), (), generator=generator))
        return self.adversaries[drawn](model, x, y, generator)

    def scaled(self, share: float) -> AnyOf:
        return AnyOf([adversary.scaled(share) for adversary in self.adversaries])

    def check(self) -> InnerAdversary:
        return self.adversaries[0].check()


def divergence(log_probabilities: Tensor, logits: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax of ``logits`` (N, K) from given log-probabilities (N, K), the mean."""
    return F.kl_div(logits.log_softmax(1), log_probabilities, reduction="batchmean", log_target=True)


def unit_rows(values: Tensor) -> Tensor:
    """Each row of ``values`` (N, ...) at L2 length 1; a row of zeros stays."""
    flat = values.flatten(1)
    # The gradients of confident images are so small that their squares vanish; the largest entry never does.
    peak = flat.abs().amax(1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
    return F.normalize(flat / peak).view_as(values)
