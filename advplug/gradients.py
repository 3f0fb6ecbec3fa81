"""Where gradients come from. Estimators compose: ``EOT(40, of=BPDA())``, ``Smoothed(0.1, 8, of=EOT(4))``,
``Selective(DetectorScore(), of=EOT(4))``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, is_dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from advplug.engine.objective import Objective
from advplug.errors import InvalidInput, NoGradient
from advplug.hyperparameters import Count, Positive, check_hyperparameters, shown
from advplug.losses import DetectorScore, Loss
from advplug.numerics.random_numbers import Noise
from advplug.threat import ThreatModel

__all__ = [
    "BPDA",
    "EOT",
    "ROUNDING",
    "Estimate",
    "Exact",
    "FiniteDifference",
    "GradientEstimator",
    "Objective",
    "Orthogonal",
    "Selective",
    "Smoothed",
    "TwoLosses",
    "instead_of_exact",
    "noise_within",
]

_NO_DERIVATIVE = ("no autograd formula", "derivative for")
"""How torch says in a backward pass that an operation has no derivative."""

ROUNDING = 1e-5
"""Share of a gradient below which what is left of it is rounding."""


class Estimate(NamedTuple):
    """Loss (n,), its gradient (n, ...) and the logits at x itself: (n, K), or (draws, n, K) for a stochastic model.

    A loss of M values per sample is (n, M), its gradient (n, M, ...).
    """

    loss: Tensor
    gradient: Tensor
    logits: Tensor


class GradientEstimator(ABC):
    """Value and gradient of a per-sample objective. Knows nothing of the attack that asks."""

    def __post_init__(self) -> None:
        """Check the settings of a dataclass. Override to check them against each other, and call this first."""
        if is_dataclass(self):
            check_hyperparameters(self)

    def __repr__(self) -> str:
        return shown(self)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The losses that it takes gradients of besides the attack's own, also deep inside."""
        inner = getattr(self, "of", None)
        return inner.losses if isinstance(inner, GradientEstimator) else ()

    @abstractmethod
    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        """Estimate at ``x`` (n, ...); ``noise`` gives random numbers that belong to (sample, step)."""


@dataclass(frozen=True)
class Exact(GradientEstimator):
    """One forward and one backward pass; one backward pass for each value of a loss of several."""

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        x = objective.gateway.leaf(x)
        with torch.enable_grad():
            loss, logits = objective(x)
        objective.counter.backward(objective.copies * (1 if loss.ndim == 1 else loss.shape[1]))
        values = [loss] if loss.ndim == 1 else loss.unbind(1)
        gradients = [_gradient(value, x, objective, keep=len(values) > 1) for value in values]
        gradient = gradients[0] if loss.ndim == 1 else torch.stack(gradients, 1)
        return Estimate(loss.detach(), gradient, logits.detach())


@dataclass(frozen=True)
class EOT(GradientEstimator):
    """Expectation over the model's own randomness: the mean gradient over ``draws`` (Athalye et al. 2018, sec. 4.2).

    Gradients are averaged, never logits; the logits of every draw are kept, so that a success counts as a fraction.
    """

    draws: Count
    of: GradientEstimator = field(default_factory=Exact)

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        loss, gradient, logits = _averaged(self, objective, x, noise, step, scale=0.0)
        return Estimate(loss, gradient, logits)


@dataclass(frozen=True)
class Smoothed(GradientEstimator):
    """Gradient of the Gaussian-smoothed loss: mean of ``of`` over ``draws`` inputs ``x + sigma * u``, u ~ N(0, I).

    Parameters
    ----------
    sigma: standard deviation of the noise, in the units of the input.
    draws: noisy inputs for each gradient.
    of: where the gradient at each of them comes from.
    clip: cut the noisy inputs to the bounds, outside which a model may answer anything, or fail. Off, the noise is
        exactly Gaussian.
    centre: the gradient at ``x`` itself joins the mean, as one more draw, so that the loss falls there as well.
    """

    sigma: Positive
    draws: Count
    of: GradientEstimator = field(default_factory=Exact)
    clip: bool = True
    centre: bool = False

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        here = self.of(objective, x, noise, step) if self.centre else None
        loss, logits = objective.value(x) if here is None else (here.loss, here.logits)
        bounds = objective.model.bounds if self.clip else None
        _, gradient, _ = _averaged(self, objective, x, noise, step, scale=self.sigma, bounds=bounds)
        if here is not None:
            gradient = (self.draws * gradient + here.gradient) / (self.draws + 1)
        return Estimate(loss, gradient, logits)


@dataclass(frozen=True)
class BPDA(GradientEstimator):
    """Forward through the defense, backward through its ``surrogate`` (Athalye et al. 2018, sec. 4.1)."""

    of: GradientEstimator = field(default_factory=Exact)

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        return self.of(objective.through_surrogate(), x, noise, step)


@dataclass(frozen=True)
class FiniteDifference(GradientEstimator):
    """Antithetic Gaussian finite differences of the loss, from scores alone (NES; Ilyas et al. 2018).

    ``g = mean_j (L(x + sigma u_j) - L(x - sigma u_j)) u_j / (2 sigma)``, u_j ~ N(0, I).

    Parameters
    ----------
    sigma: standard deviation of the noise, in the units of the input.
    queries: M queries (M / 2 antithetic pairs) per sample and gradient, or a schedule: pairs ``(step, M)`` that hold
        from that step on.
    clip: cut the queries to the bounds, outside which a model may answer anything, or fail.
    """

    sigma: Positive
    queries: int | tuple[tuple[int, int], ...] = 100
    clip: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = [step for step, _ in self._schedule]
        if not steps or steps[0] != 0 or steps != sorted(set(steps)) or min(m for _, m in self._schedule) < 2:
            raise InvalidInput(f"queries {self.queries}: M >= 2, or pairs (step, M) with ascending steps from 0")

    @property
    def _schedule(self) -> tuple[tuple[int, int], ...]:
        return ((0, self.queries),) if isinstance(self.queries, int) else self.queries

    def pairs(self, step: int) -> int:
        """Antithetic pairs at that step."""
        return [m for start, m in self._schedule if start <= step][-1] // 2

    @torch.no_grad()
    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        loss, logits = objective.value(x)
        gradient = x.new_zeros(*loss.shape, *x.shape[1:])
        for first, draws in objective.chunks(self.pairs(step), rows_per_draw=2):
            u = noise.normal(step, tuple(x.shape[1:]), draws, first).to(x)
            queries = torch.cat((x + self.sigma * u, x - self.sigma * u)).flatten(0, 1)
            if self.clip:
                queries = queries.clamp(*objective.model.bounds)
            above, below = objective.tiled(2 * draws).value(queries)[0].reshape(2, draws, *loss.shape)
            gradient += torch.einsum("dnm,dn...->nm...", (above - below).view(draws, len(x), -1), u).view_as(gradient)
        return Estimate(loss, gradient / (2 * self.sigma * self.pairs(step)), logits)


@dataclass(frozen=True)
class TwoLosses(GradientEstimator):
    """Base of estimators that make one direction of the gradients of two losses (Bryniarski et al. 2022).

    The first loss is the attack's own, on the classifier; a sample is *fooled* where more than half of the draws at x
    give another class than its label, or its target. The value is the sum of both losses, so that an attack that
    compares points (APGD) sees either fall. Both losses cost a pass. An attack that linearises several values of a
    sample (DeepFool, FAB) keeps the gradients of its own loss.

    Parameters
    ----------
    second: the other loss, on the detector unless given.
    of: where both gradients come from.
    """

    second: Loss = field(default_factory=DetectorScore)
    of: GradientEstimator = field(default_factory=Exact)

    @property
    def losses(self) -> tuple[Loss, ...]:
        return (self.second, *super().losses)

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        first = self.of(objective, x, noise, step)
        if first.loss.ndim > 1:
            return first
        second = self.of(replace(objective, loss=self.second), x, noise, step)
        if second.loss.ndim > 1:
            raise InvalidInput(
                f"{self.second} has several values per sample: name a second loss of one, such as Margin()"
            )
        fooled = objective.fooled(first.logits).view(-1, *(1,) * (x.ndim - 1))
        gradient = self.direction(first.gradient, second.gradient, fooled)
        return Estimate(first.loss + second.loss, gradient, first.logits)

    @abstractmethod
    def direction(self, first: Tensor, second: Tensor, fooled: Tensor) -> Tensor:
        """The direction (n, ...) from two gradients (n, ...); ``fooled`` is bool (n, 1, ...)."""


@dataclass(frozen=True)
class Selective(TwoLosses):
    """The gradient of the attack's loss while the classifier is right, then that of the second one.

    Lowers the detector's score where the classifier is fooled, and turns back where it no longer is.
    """

    def direction(self, first: Tensor, second: Tensor, fooled: Tensor) -> Tensor:
        return torch.where(fooled, second, first)


@dataclass(frozen=True)
class Orthogonal(TwoLosses):
    """As :class:`Selective`, without the part along the other loss's gradient, which then stays as it is.

    Where nothing is left, because both gradients point the same or the opposite way, the whole gradient counts.
    """

    def direction(self, first: Tensor, second: Tensor, fooled: Tensor) -> Tensor:
        chosen, other = torch.where(fooled, second, first), torch.where(fooled, first, second)
        flat, along = chosen.flatten(1), torch.nn.functional.normalize(other.flatten(1), dim=1, eps=1e-30)
        rest = flat - (flat * along).sum(1, keepdim=True) * along
        vanished = rest.norm(dim=1, keepdim=True) <= ROUNDING * flat.norm(dim=1, keepdim=True)
        return torch.where(vanished, flat, rest).view_as(chosen)


def instead_of_exact(gradient: GradientEstimator, other: GradientEstimator) -> GradientEstimator:
    """``gradient`` with ``other`` where it takes exact gradients, however deep inside.

    Raises
    ------
    NoGradient: it takes none.
    """
    if isinstance(gradient, Exact):
        return other
    inner = getattr(gradient, "of", None)
    if not isinstance(inner, GradientEstimator) or not is_dataclass(gradient) or isinstance(gradient, type):
        raise NoGradient(f"{gradient} found no gradient: use FiniteDifference")
    found: GradientEstimator = replace(gradient, of=instead_of_exact(inner, other))
    return found


def noise_within(threat: ThreatModel, values: int) -> float:
    """Standard deviation of Gaussian noise on ``values`` values that is about as large as the budget in its norm.

    That is epsilon under linf; under l2 and l1 the budget is shared by all values of an input. A tenth of the valid
    range where the budget says nothing of size: under l0, and for minimum norm.
    """
    low, high = threat.bounds
    if not threat.epsilon or threat.norm == "l0":
        return (high - low) / 10
    # E|u| = sqrt(2 / pi) and E u^2 = 1 for u ~ N(0, 1).
    return threat.epsilon / {"linf": 1.0, "l2": math.sqrt(values), "l1": values * math.sqrt(2 / math.pi)}[threat.norm]


def _gradient(loss: Tensor, x: Tensor, objective: Objective, *, keep: bool) -> Tensor:
    """Gradient (n, ...) of ``loss`` (n,) at ``x``; ``keep`` the graph for the next value.

    Raises
    ------
    NoGradient: the loss does not depend on ``x`` in a way that can be differentiated.
    """
    found = None
    if loss.requires_grad:
        try:
            found = torch.autograd.grad(loss.sum(), x, retain_graph=keep, allow_unused=True)[0]
        except RuntimeError as error:
            if "use_reentrant" in str(error):
                raise InvalidInput("the model is checkpointed: call checkpoint with use_reentrant=False") from error
            if not any(words in str(error) for words in _NO_DERIVATIVE):
                raise
    if found is None:
        raise NoGradient(
            f"{type(objective.model).__name__} gives no gradient: use Traced (--gradients traced), an attack on scores "
            "(square), FiniteDifference (--gradients finite-differences), or BPDA with a surrogate (--surrogate "
            "MODULE:FUNCTION --gradients bpda)"
        )
    return found


def _averaged(
    estimator: EOT | Smoothed,
    objective: Objective,
    x: Tensor,
    noise: Noise,
    step: int,
    *,
    scale: float,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Mean of ``estimator.of`` over stacked copies of ``x``, with Gaussian noise of standard deviation ``scale``.

    ``bounds`` are what the noisy copies are cut to, None for nothing.
    """
    losses, gradients, logits = [], [], []
    chunks = objective.chunks(estimator.draws)
    if not objective.gateway.draws_per_sample:  # copies in one pass would share one draw
        chunks = ((number, 1) for number in range(estimator.draws))
    for first, draws in chunks:
        copies = x.expand(draws, *x.shape)
        if scale:
            copies = copies + scale * noise.normal(step, tuple(x.shape[1:]), draws, first).to(x)
        if bounds is not None:
            copies = copies.clamp(*bounds)
        inner = estimator.of(objective.tiled(draws), copies.flatten(0, 1), noise.tiled(draws, first), step)
        losses.append(inner.loss.unflatten(0, (draws, len(x))).sum(0))
        gradients.append(inner.gradient.unflatten(0, (draws, len(x))).sum(0))
        logits.append(inner.logits.reshape(-1, len(x), inner.logits.shape[-1]))
    loss, gradient = (torch.stack(parts).sum(0) / estimator.draws for parts in (losses, gradients))
    return Estimate(loss, gradient, torch.cat(logits))
