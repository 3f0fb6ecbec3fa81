"""Primal-dual (proximal) gradient descent (Matyasko, PDPGD, 2021; PhD thesis, chapter 5)."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Literal, NamedTuple

import eagerpy as ep
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.losses import LogisticMargin, Loss
from advplug.numerics import Adam, norms, per_sample, raw, size, unit, wrap
from advplug_attack_pdpgd import _proximal
from advplug_attack_pdpgd._schedule import SHAPES, Shape, falling
from advplug_attack_pdpgd._weights import Weights


class Settings(NamedTuple):
    """Hyper-parameters whose best value depends on the norm, the same for all networks; see :class:`PDPGD`."""

    rate: float
    dual_rate: float
    ratio: float
    starts: tuple[float, ...]
    fine_rate: float


DEFAULTS = {
    "linf": Settings(rate=0.1, dual_rate=0.1, ratio=0.1, starts=(0.5, 0.0), fine_rate=0.3),
    "l2": Settings(rate=1.0, dual_rate=0.1, ratio=0.01, starts=(0.5, 0.0), fine_rate=0.3),
    "l1": Settings(rate=1.0, dual_rate=0.3, ratio=0.01, starts=(0.5, 0.5, 0.5, 0.0), fine_rate=0.3),
    "l0": Settings(rate=1.0, dual_rate=0.3, ratio=0.01, starts=(0.5, 0.5, 0.5, 0.5, 0.0), fine_rate=0.3),
}

ENOUGH = 500
"""Steps for all the searches of ``DEFAULTS``; with fewer, the first of them are left out in proportion."""

PENALTIES: dict[str, _proximal.Prox] = {
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


class PDPGD(IterativeAttack[State]):
    """The smallest perturbation that changes the decision, by descent in the perturbation and ascent in the weights.

    Under l2 the descent follows the gradient of the weighted sum of norm and loss (PDGD). Under the other norms it
    follows the gradient of the loss, and then the proximal operator of the norm (PDPGD). Both use Adam. All lengths
    are in widths of the bounds.

    Parameters
    ----------
    steps: gradient steps, fine-tuning included.
    rate: first step size; None for the one of the norm in ``DEFAULTS``, as for dual_rate, ratio, starts and fine_rate.
    dual_rate: first step size of the logarithm of the weights.
    ratio: norm weight over classification weight at the start.
    final_rate, final_dual_rate: last rates as a share of the first.
    schedule, dual_schedule: how the rates fall: ``exponential``, ``linear`` or ``constant``.
    memory: share of the past in the running mean of the weights.
    starts: for each search in turn the half width of its uniform random start; 0 starts at the input.
    fine_tuning: share of the steps that go on from the best point, with its weights, at the rates ``fine_rate`` times
        the largest change of that point, as networks differ in how far their boundaries are, and ``fine_dual_rate``
        (both falling likewise).
    penalty: what stands for l0 in the proximal step: ``l0`` itself, ``two_thirds``, ``half`` or ``l1``.
    group: None, or ``pixel`` to count pixels under l0 rather than values: inputs are (N, C, H, W).
    inner: proximal iterations of the paper's inner loop in Adam's metric; None for their limit in closed form.
    """

    norms = ("linf", "l2", "l1", "l0")
    minimum_norm = True

    def __init__(
        self,
        *,
        steps: int = 500,
        rate: float | None = None,
        dual_rate: float | None = None,
        ratio: float | None = None,
        final_rate: float = 0.01,
        final_dual_rate: float = 0.1,
        schedule: Shape = "exponential",
        dual_schedule: Shape = "linear",
        memory: float = 0.9,
        starts: tuple[float, ...] | None = None,
        fine_tuning: float = 0.3,
        fine_rate: float | None = None,
        fine_dual_rate: float = 0.1,
        penalty: str = "two_thirds",
        group: Literal["pixel"] | None = None,
        inner: int | None = None,
    ) -> None:
        _check_positive(rate=rate, dual_rate=dual_rate, ratio=ratio, fine_rate=fine_rate, fine_dual_rate=fine_dual_rate)
        _check_positive(final_rate=final_rate, final_dual_rate=final_dual_rate)
        _check_count(steps=steps, inner=inner)
        _check_share(memory=memory, fine_tuning=fine_tuning)
        _check_choice(SHAPES, schedule=schedule, dual_schedule=dual_schedule)
        _check_choice(tuple(PENALTIES), penalty=penalty)
        _check_choice((None, "pixel"), group=group)
        if starts is not None and (not starts or min(starts) < 0):
            raise InvalidInput(f"starts is {starts}: give the half width of a random start, or 0, for each search")
        self.steps = steps
        self.rate = rate
        self.dual_rate = dual_rate
        self.ratio = ratio
        self.final_rate = final_rate
        self.final_dual_rate = final_dual_rate
        self.schedule = schedule
        self.dual_schedule = dual_schedule
        self.memory = memory
        self.starts = starts
        self.fine_tuning = fine_tuning
        self.fine_rate = fine_rate
        self.fine_dual_rate = fine_dual_rate
        self.penalty = penalty
        self.group = group
        self.inner = inner

    @property
    def default_loss(self) -> Loss:
        """``log(1 + exp(margin))``."""
        return LogisticMargin()

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        """The norm, or with ``group`` the pixels that change, float64 (n,) for perturbations (n, C, H, W)."""
        return norms(delta.abs().amax(1) if norm == "l0" and self.group else delta, norm)

    def init(self, task: Task) -> State:
        return self._search(task, self._settings(task.threat.norm).starts[0])

    def _search(self, task: Task, half_width: float) -> State:
        """The state before the first step of a search."""
        x = task.inputs
        if half_width:
            noise = raw(x).new_tensor(2) * task.noise.uniform(task.t, x.shape[1:]).to(raw(x).dtype) - 1
            x = task.clip(x + half_width * width(task) * wrap(noise))
        ratio = self._settings(task.threat.norm).ratio
        return State(x, Adam.like(x), Weights.at_ratio(ratio, x))

    def step(self, task: Task, state: State) -> State:
        settings = self._settings(task.threat.norm)
        part, t, length = self._part(task.t, len(settings.starts))
        if t == 0 and part:
            state = self._next(task, state, settings.starts[part:])
        pace, dual_rate = self._rates(settings, part, t / length)
        tuning = part == len(settings.starts)
        rate = pace * (largest_change(task) if tuning else 1)
        before = task.best_cost
        q = task.query(state.x)
        assert q.gradient is not None
        weights = state.weights.remember(ep.logical_and(q.success, task.best_cost < before))
        weights = weights.ascend(q.success, dual_rate, self.memory)
        r = (state.x - task.inputs) / width(task)
        gradient = width(task) * q.gradient
        if task.threat.norm == "l2":  # PDGD
            share = per_sample(weights.norm, r)
            gradient = share * unit(r) + (1 - share) * gradient
        adam = state.adam.seen(gradient)
        m, psi = adam.scaled(t + 1)
        r = self._inside(task, r - rate * m / psi)
        if task.threat.norm != "l2":  # PDPGD
            r = self._shrink(r, rate * per_sample(weights.ratio, r) / psi, task.threat.norm)
        return State(task.clip(task.inputs + width(task) * r), adam, weights)

    def _settings(self, norm: str) -> Settings:
        """The defaults of the norm, except for what the caller gave."""
        given = {name: getattr(self, name) for name in Settings._fields if getattr(self, name) is not None}
        default = DEFAULTS[norm]
        room = max(1, len(default.starts) * self.steps // ENOUGH)  # so that no search gets shorter
        return default._replace(starts=default.starts[-room:])._replace(**given)

    @property
    def _before_tuning(self) -> int:
        return self.steps - round(self.fine_tuning * self.steps)

    def _part(self, t: int, searches: int) -> tuple[int, int, int]:
        """The search that step ``t`` belongs to (one after the last: fine-tuning), its step there, and its length."""
        ends = [self._before_tuning * k // searches for k in range(searches + 1)] + [self.steps]
        part = bisect_right(ends, t) - 1
        return part, t - ends[part], ends[part + 1] - ends[part]

    def _next(self, task: Task, state: State, starts: tuple[float, ...]) -> State:
        """The first of the searches that are left; after the last, where one has found a point, back to the best."""
        best = state.weights.best
        if starts:
            fresh = self._search(task, starts[0])
            return fresh._replace(weights=fresh.weights._replace(best=best))
        x = ep.where(per_sample(best > 0, state.x), task.best, state.x)
        return State(x, Adam.like(x), state.weights.recall())

    def _rates(self, settings: Settings, part: int, done: float) -> tuple[float, float]:
        """Rates of descent and ascent when the share ``done`` of a part is over."""
        tuning = part == len(settings.starts)
        rate, dual_rate = (settings.fine_rate, self.fine_dual_rate) if tuning else (settings.rate, settings.dual_rate)
        return (
            falling(rate, self.final_rate, self.schedule, done),
            falling(dual_rate, self.final_dual_rate, self.dual_schedule, done),
        )

    def _shrink(self, r: ep.Tensor, mu: ep.Tensor, norm: str) -> ep.Tensor:
        """The proximal operator of the norm in Adam's metric: ``mu`` (n, ...) is lambda * rate / psi."""
        prox = self._prox(norm)
        v, weight = raw(r), raw(mu)
        if self.inner is None:
            return wrap(prox(v, weight))
        least = weight.flatten(1).amin(1).view(-1, *(1,) * (v.ndim - 1))  # lambda * rate / max psi
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


def _check_positive(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not value > 0:
            raise InvalidInput(f"{name} is {value}: give a positive number")


def _check_count(**options: int | None) -> None:
    for name, value in options.items():
        if value is not None and value < 1:
            raise InvalidInput(f"{name} is {value}: give at least 1")


def _check_share(**options: float) -> None:
    for name, value in options.items():
        if not 0 <= value < 1:
            raise InvalidInput(f"{name} is {value}: give a share from 0 up to, but not including, 1")


def _check_choice(choices: tuple[Any, ...], **options: Any) -> None:
    for name, value in options.items():
        if value not in choices:
            raise InvalidInput(f"{name} {value!r}: choose one of {', '.join(map(str, choices))}")
