"""Primal-dual (proximal) gradient descent (Matyasko, PDPGD, 2021; PhD thesis, chapter 5)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, Decay, Positive
from advplug.losses import LogisticMargin, Loss
from advplug.numerics import Adam, norms, per_sample, raw, size, unit, wrap
from advplug_attack_pdpgd import _proximal
from advplug_attack_pdpgd._schedule import Shape, falling
from advplug_attack_pdpgd._settings import Settings, default_settings
from advplug_attack_pdpgd._weights import Weights

Penalty = Literal["l0", "two_thirds", "half", "l1"]

PENALTIES: dict[Penalty, _proximal.Prox] = {
    "l0": _proximal.l0,
    "two_thirds": _proximal.two_thirds,
    "half": _proximal.half,
    "l1": _proximal.l1,
}


class State(NamedTuple):
    """``x`` the current point (n, ...), ``adam`` its averages of gradients, ``weights`` those of norm and loss."""

    x: ep.Tensor
    adam: Adam
    weights: Weights


@dataclass(frozen=True, kw_only=True)
class PDPGD(IterativeAttack[State]):
    """The smallest perturbation that changes the decision, by descent in the perturbation and ascent in the weights.

    Under l2 the descent follows the gradient of the weighted sum of norm and loss (PDGD). Under the other norms it
    follows the gradient of the loss, and then the proximal operator of the norm (PDPGD). Both use Adam. All lengths
    are in widths of the bounds.

    Parameters
    ----------
    steps: gradient steps, fine-tuning included.
    step_size: first step size; None for the one of the norm in ``DEFAULTS``, as for dual_step_size, ratio, start_widths
        and fine_step_size.
    dual_step_size: first step size of the logarithm of the weights.
    ratio: norm weight over classification weight at the start.
    final_step_size, final_dual_step_size: last step sizes as a share of the first.
    schedule, dual_schedule: how the step sizes fall: ``exponential``, ``linear`` or ``constant``.
    averaging: share of the past in the running mean of the weights.
    start_widths: for each search in turn the half width of its uniform random start; 0 starts at the input.
    fine_tuning: share of the steps that go on from the best point, with its weights, at step sizes of
        ``fine_step_size`` times the largest change of that point, as networks differ in how far their boundaries are,
        and ``fine_dual_step_size`` (both falling likewise).
    penalty: what stands for l0 in the proximal step: ``l0`` itself, ``two_thirds``, ``half`` or ``l1``.
    group: None, or ``pixel`` to count pixels under l0 rather than values: inputs are (N, C, H, W).
    inner: proximal iterations of the paper's inner loop in Adam's metric; None for their limit in closed form.
    """

    minimum_norm = True

    steps: Count = 500
    step_size: Positive | None = None
    dual_step_size: Positive | None = None
    ratio: Positive | None = None
    final_step_size: Positive = 0.01
    final_dual_step_size: Positive = 0.1
    schedule: Shape = "exponential"
    dual_schedule: Shape = "linear"
    averaging: Decay = 0.9
    start_widths: tuple[float, ...] | None = None
    fine_tuning: Decay = 0.3
    fine_step_size: Positive | None = None
    fine_dual_step_size: Positive = 0.1
    penalty: Penalty = "two_thirds"
    group: Literal["pixel"] | None = None
    inner: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = self.start_widths
        if widths is not None and (not widths or min(widths) < 0):
            raise InvalidInput(
                f"start_widths is {widths}: give the half width of a random start, or 0, for each search"
            )

    @property
    def default_loss(self) -> Loss:
        """``log(1 + exp(margin))``."""
        return LogisticMargin()

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        """The norm, or with ``group`` the pixels that change, float64 (n,) for perturbations (n, C, H, W)."""
        return norms(delta.abs().amax(1) if norm == "l0" and self.group else delta, norm)

    def init(self, task: Task) -> State:
        return self._search(task, self._settings(task.threat.norm).start_widths[0])

    def _search(self, task: Task, half_width: float) -> State:
        """The state before the first step of a search."""
        x = task.inputs
        if half_width:
            noise = 2 * wrap(task.noise.uniform(task.t, x.shape[1:])).astype(x.dtype) - 1
            x = task.clip(x + half_width * width(task) * noise)
        ratio = self._settings(task.threat.norm).ratio
        return State(x, Adam.like(x), Weights.at_ratio(ratio, x))

    def step(self, task: Task, state: State) -> State:
        settings = self._settings(task.threat.norm)
        part, t, length = self._part(task.t, len(settings.start_widths))
        if t == 0 and part:
            state = self._next(task, state, settings.start_widths[part:])
        tuning = part == len(settings.start_widths)
        pace, dual_step_size = self._step_sizes(settings, t / length, tuning=tuning)
        step_size = pace * (largest_change(task) if tuning else 1)
        before = task.best_cost
        q = task.query(state.x)
        weights = state.weights.remember(ep.logical_and(q.success, task.best_cost < before))
        weights = weights.ascend(q.success, dual_step_size, self.averaging)
        r = (state.x - task.inputs) / width(task)
        gradient = width(task) * q.gradient
        if task.threat.norm == "l2":  # PDGD
            share = per_sample(weights.norm, r)
            gradient = share * unit(r) + (1 - share) * gradient
        adam = state.adam.seen(gradient)
        m, psi = adam.scaled(t + 1)
        r = self._inside(task, r - step_size * m / psi)
        if task.threat.norm != "l2":  # PDPGD
            r = self._shrink(r, step_size * per_sample(weights.ratio, r) / psi, task.threat.norm)
        return State(task.clip(task.inputs + width(task) * r), adam, weights)

    def _settings(self, norm: str) -> Settings:
        """The defaults of the norm, except for what the caller gave."""
        given = {name: getattr(self, name) for name in Settings._fields if getattr(self, name) is not None}
        return default_settings(norm, self.steps)._replace(**given)

    @property
    def _before_tuning(self) -> int:
        return self.steps - round(self.fine_tuning * self.steps)

    def _part(self, t: int, searches: int) -> tuple[int, int, int]:
        """The search that step ``t`` belongs to (one after the last: fine-tuning), its step there, and its length."""
        ends = [self._before_tuning * k // searches for k in range(searches + 1)] + [self.steps]
        part = bisect_right(ends, t) - 1
        return part, t - ends[part], ends[part + 1] - ends[part]

    def _next(self, task: Task, state: State, widths: tuple[float, ...]) -> State:
        """The first of the searches that are left; after the last, where one has found a point, back to the best."""
        best = state.weights.best
        if widths:
            fresh = self._search(task, widths[0])
            return fresh._replace(weights=fresh.weights._replace(best=best))
        x = ep.where(per_sample(best > 0, state.x), task.best, state.x)
        return State(x, Adam.like(x), state.weights.recall())

    def _step_sizes(self, settings: Settings, done: float, *, tuning: bool) -> tuple[float, float]:
        """Those of descent and ascent when the share ``done`` of a search, or of the fine-tuning, is over."""
        first, first_dual = settings.step_size, settings.dual_step_size
        if tuning:
            first, first_dual = settings.fine_step_size, self.fine_dual_step_size
        return (
            falling(first, self.final_step_size, self.schedule, done),
            falling(first_dual, self.final_dual_step_size, self.dual_schedule, done),
        )

    def _shrink(self, r: ep.Tensor, mu: ep.Tensor, norm: str) -> ep.Tensor:
        """The proximal operator of the norm in Adam's metric: ``mu`` (n, ...) is lambda * step size / psi."""
        prox = self._prox(norm)
        v, weight = raw(r), raw(mu)
        if self.inner is None:
            return wrap(prox(v, weight))
        least = weight.flatten(1).amin(1).view(-1, *(1,) * (v.ndim - 1))  # lambda * step size / max psi
        z = v
        for _ in range(self.inner):
            z = prox(z - least / weight * (z - v), least.expand_as(v))
        return wrap(z)

    def _prox(self, norm: str) -> _proximal.Prox:
        if norm != "l0":
            return _proximal.flat(_proximal.linf if norm == "linf" else _proximal.l1)
        if self.group is None:
            return PENALTIES[self.penalty]
        return _proximal.pixel_l0 if self.penalty == "l0" else _proximal.by_largest_channel(PENALTIES[self.penalty])

    def _inside(self, task: Task, r: ep.Tensor) -> ep.Tensor:
        return (task.clip(task.inputs + width(task) * r) - task.inputs) / width(task)


def width(task: Task) -> float:
    """Width of the bounds, the unit of length."""
    return task.threat.bounds[1] - task.threat.bounds[0]


def largest_change(task: Task) -> ep.Tensor:
    """Of any value, from the input to the best point, in widths of the bounds (n, 1, ..., 1); 1 where there is none."""
    change = size(task.best - task.inputs, "linf") / width(task)
    return per_sample(ep.where(change > 0, change, ep.ones_like(change)), task.inputs)
