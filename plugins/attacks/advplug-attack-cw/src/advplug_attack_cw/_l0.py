"""The L0 attack (Carlini and Wagner 2017, sec. VI-B): the L2 attack, again and again, on ever fewer values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, Decay, NonNegative, Positive
from advplug.numerics import Adam, TanhReparameterization, choose, norms, per_sample, raw, wrap
from advplug_attack_cw._confidence import WithConfidence, check_constants

Importance = Literal["reach", "change"]

LOOK = 5
"""Steps between looks at which samples have succeeded."""


class State(NamedTuple):
    """The descent, and the last success. Masks are 0 or 1; (n, ...) unless noted.

    ``x``, its variable ``w`` and ``adam``; ``free``: may move; ``c`` (n,) the constant; ``step`` (n,) of this descent;
    ``won`` (n,): this descent succeeded. ``found`` the last success, ``found_free`` what was free then, ``gain`` what
    each value contributes; ``needed``: proved indispensable; ``single`` (n,): freeze one value at a time.
    """

    x: ep.Tensor
    w: ep.Tensor
    adam: Adam
    free: ep.Tensor
    c: ep.Tensor
    step: ep.Tensor
    won: ep.Tensor
    found: ep.Tensor
    found_free: ep.Tensor
    gain: ep.Tensor
    needed: ep.Tensor
    single: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class CarliniWagnerL0(WithConfidence, IterativeAttack[State]):
    """Run the L2 attack until it succeeds, freeze the values that contribute least, go on from there with the rest.

    Where the rest does not succeed, the values come back, and from then on one is frozen at a time; the attack of the
    paper ends there. A sample is done when every value is needed.

    Parameters
    ----------
    steps: gradient steps in all.
    steps_per_set: steps that a set of values gets; 1000 in the paper, which needs 100000 in all.
    step_size: step of Adam in the variable of :class:`TanhReparameterization`; 0.01 in the paper.
    initial_c: first constant; ten times as much as long as nothing succeeds, then twice with every set; ``largest_c``
        once a set fails, so that no set fails for the sake of a small L2 norm.
    largest_c: no constant is larger.
    dropped_share: freeze values that together contribute at most this share.
    importance: a value contributes its gradient times how far it can move downhill (``reach``), or how far it has
        moved (``change``), as in the paper: where the bounds leave less room to some values, that keeps the wrong ones.
    confidence: how far the logit of the wrong class must be above, kappa in the paper; in the loss and asked of every
        point that counts.
    pixels: freeze, and count, pixels rather than values: all channels (dimension 1 of the batch) of a place.
    stretch: as for the L2 attack.
    """

    norms = ("l0",)
    minimum_norm = True

    steps: Count = 1000
    steps_per_set: Count = 50
    step_size: Positive = 0.1
    initial_c: Positive = 1e-3
    largest_c: Positive = 2e6
    dropped_share: Decay = 0.1
    importance: Importance = "reach"
    confidence: NonNegative = 0.0
    pixels: bool = False
    stretch: Positive = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_constants(self.initial_c, self.largest_c)

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        return norms(delta.abs().amax(1) if self.pixels else delta, norm)

    def init(self, task: Task) -> State:
        x = task.inputs
        if self.pixels and x.ndim < 3:
            raise InvalidInput("pixels needs inputs with channels: (N, C, ...)")
        zeros, nothing, everything = ep.zeros_like(x.flatten(1)[:, 0]), ep.zeros_like(x), ep.ones_like(x)
        return State(
            x,
            w=self._box(task).inverse(x),
            adam=Adam.like(x),
            free=everything,
            c=zeros + self.initial_c,
            step=zeros,
            won=zeros < 0,
            found=x,
            found_free=everything,
            gain=nothing,
            needed=nothing,
            single=zeros < 0,
        )

    def step(self, task: Task, state: State) -> State:
        box, x = self._box(task), state.x
        q = task.query(x, self.condition)
        gradient = 2 / box.width**2 * (x - task.inputs) + per_sample(state.c, x) * q.gradient
        adam = state.adam.seen(state.free * gradient * box.slope(x))
        m, v = adam.scaled(per_sample(state.step + 1, x))
        w = state.w - self.step_size * m / v
        here = per_sample(q.success, x)
        state = state._replace(
            x=ep.where(state.free > 0, box.inside(w), task.inputs),
            w=w,
            adam=adam,
            step=state.step + 1,
            won=ep.logical_or(state.won, q.success),
            found=ep.where(here, x, state.found),
            # On a success the loss is flat: what counts is the last gradient before.
            gain=ep.where(here, state.gain, (self._change(task, x, q.gradient) * q.gradient).abs()),
        )
        return state if (task.t + 1) % LOOK else self._look(task, state)

    def conclude(self, task: Task, state: State) -> None:
        task.evaluate(state.x, self.condition)

    def _box(self, task: Task) -> TanhReparameterization:
        return TanhReparameterization.of(task.threat.bounds, self.stretch)

    def _change(self, task: Task, x: ep.Tensor, gradient: ep.Tensor) -> ep.Tensor:
        """What the gradient is multiplied by to rate a value (n, ...): how far it moved, or can move downhill."""
        if self.importance == "change":
            return x - task.inputs
        low, high = task.threat.bounds
        return ep.where(gradient < 0, high - task.inputs, low - task.inputs)

    def _look(self, task: Task, state: State) -> State:
        """Freeze values of the samples that succeeded, and take back what was frozen where that failed."""
        lost = ep.logical_and(state.step >= self.steps_per_set, ep.logical_not(state.won))
        frozen = state.found_free - state.free  # what the descent that is over had to do without
        nothing_yet = frozen.flatten(1).sum(1) == 0
        again = ep.logical_and(lost, ep.logical_or(nothing_yet, state.c < self.largest_c))
        c = ep.where(nothing_yet, ep.minimum(10 * state.c, self.largest_c), ep.full_like(state.c, self.largest_c))
        state = choose(raw(again), state._replace(c=c, step=ep.zeros_like(state.step)), state)

        alone = (self._units(frozen) > 0).flatten(1).sum(1) == 1
        needed = ep.where(per_sample(alone, frozen), ep.maximum(state.needed, frozen), state.needed)
        back = state._replace(free=state.found_free, needed=needed, single=ep.logical_or(state.single, lost))
        failed = ep.logical_and(lost, ep.logical_not(again))
        state = choose(raw(failed), back, state)

        over = ep.logical_or(failed, state.won)
        free = self._fewer(state)
        stuck = (free == state.free).flatten(1).all(1)  # every value is needed
        task.finish(ep.logical_and(over, stuck))
        x = ep.where(free > 0, state.found, task.inputs)
        smaller = state._replace(
            x=x,
            w=self._box(task).inverse(x),
            adam=Adam.like(x),
            found_free=state.free,
            free=free,
            c=ep.minimum(2 * state.c, self.largest_c),
            step=ep.zeros_like(state.step),
            won=ep.zeros_like(state.won),
        )
        chosen: State = choose(raw(over), smaller, state)
        return chosen

    def _fewer(self, state: State) -> ep.Tensor:
        """``free`` without what contributes least, ``dropped_share`` of all or one value, never what is needed."""
        gain = raw(self._units(state.gain * state.free))
        open_ = (raw(self._units(state.free)) > 0) & ~(raw(self._units(state.needed)) > 0)
        flat = gain.masked_fill(~open_, torch.inf).flatten(1)
        ordered, order = flat.sort(dim=1, stable=True)
        total = gain.flatten(1).sum(1, keepdim=True)
        small = ordered.cumsum(1) <= self.dropped_share * total
        small &= ~raw(state.single)[:, None]
        small[:, 0] = True
        small &= ordered.isfinite()
        drop = torch.zeros_like(small).scatter(1, order, small).view_as(gain)
        return ep.where(wrap(drop.expand_as(raw(state.free))), 0 * state.free, state.free)

    def _units(self, values: ep.Tensor) -> ep.Tensor:
        """What is frozen at once: values (n, ...), or pixels (n, 1, ...), the sum over their channels."""
        return values.sum(1, keepdims=True) if self.pixels else values
