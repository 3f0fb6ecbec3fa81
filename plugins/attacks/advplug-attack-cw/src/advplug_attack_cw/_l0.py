"""The L0 attack (Carlini and Wagner 2017, sec. VI-B): the L2 attack, again and again, on ever fewer values."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, get_args

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task, Wish
from advplug.errors import InvalidInput
from advplug.families import confident
from advplug.losses import Loss, Margin
from advplug.numerics import Adam, TanhReparameterization, choose, norms, per_sample, raw, wrap

Importance = Literal["reach", "change"]

LOOK = 5
"""Steps between looks at which samples have succeeded."""


class State(NamedTuple):
    """The descent, and the last success. Masks are 0 or 1; (n, ...) unless noted.

    ``x``, its variable ``w`` and ``adam``; ``free``: may move; ``c`` (n,) the weight; ``step`` (n,) of this descent;
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


class CarliniWagnerL0(IterativeAttack[State]):
    """Run the L2 attack until it succeeds, freeze the values that contribute least, go on from there with the rest.

    Where the rest does not succeed, the values come back, and from
    then on one is frozen at a time; the attack of the paper ends there. A sample is done when every value is needed.

    Parameters
    ----------
    steps: gradient steps in all.
    iterations: steps that a set of values gets; 1000 in the paper, which needs 100000 in all.
    rate: step of Adam in the variable of :class:`TanhReparameterization`; 0.01 in the paper.
    initial_c: first weight of the loss; ten times as much as long as nothing succeeds, then twice with every set;
        ``largest_c`` once a set fails, so that no set fails for the sake of a small L2 norm.
    largest_c: no weight is larger.
    share: freeze values that together contribute at most this share.
    importance: a value contributes its gradient times how far it can move downhill (``reach``), or how far it has
        moved (``change``), as in the paper: where the bounds leave less room to some values, that keeps the wrong ones.
    kappa: how far the logit of the wrong class must be above; in the loss and asked of every point that counts.
    pixels: freeze, and count, pixels rather than values: all channels (dimension 1 of the batch) of a place.
    stretch: as for the L2 attack.

    Raises
    ------
    InvalidInput: a setting out of its range.
    """

    norms: ClassVar[tuple[str, ...]] = ("l0",)
    minimum_norm: ClassVar[bool] = True

    def __init__(
        self,
        *,
        steps: int = 1000,
        iterations: int = 50,
        rate: float = 0.1,
        initial_c: float = 1e-3,
        largest_c: float = 2e6,
        share: float = 0.1,
        importance: Importance = "reach",
        kappa: float = 0.0,
        pixels: bool = False,
        stretch: float = 0.01,
    ) -> None:
        if min(steps, iterations) < 1:
            raise InvalidInput(f"steps {steps}, iterations {iterations}: give at least 1 of each")
        if not (rate > 0 and initial_c > 0 and largest_c >= initial_c and stretch > 0):
            raise InvalidInput(
                f"rate {rate}, initial_c {initial_c}, largest_c {largest_c}, stretch {stretch}: give positive numbers, "
                "largest_c no less than initial_c"
            )
        if importance not in get_args(Importance):
            raise InvalidInput(f"importance {importance!r}: choose one of {', '.join(get_args(Importance))}")
        if not (0 <= share < 1 and kappa >= 0):
            raise InvalidInput(f"share {share}, kappa {kappa}: give a share in [0, 1) and a number of at least 0")
        self.steps = steps
        self.iterations = iterations
        self.rate = rate
        self.initial_c = initial_c
        self.largest_c = largest_c
        self.share = share
        self.importance = importance
        self.kappa = kappa
        self.pixels = pixels
        self.stretch = stretch

    @property
    def default_loss(self) -> Loss:
        """f6 of the paper."""
        return Margin(self.kappa)

    def wish(self, task: Task) -> Wish | None:
        """The confidence ``kappa``."""
        return confident(task, self.kappa)

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        return norms(delta.abs().amax(1) if self.pixels else delta, norm)

    def init(self, task: Task) -> State:
        x = task.inputs
        if self.pixels and x.ndim < 3:
            raise InvalidInput("pixels needs inputs with channels: (N, C, ...)")
        zeros, nothing, everything = 0 * x.flatten(1)[:, 0], ep.zeros_like(x), ep.ones_like(x)
        w = TanhReparameterization.of(task, self.stretch).inverse(x)
        c = zeros + self.initial_c
        return State(
            x, w, Adam.like(x), everything, c, zeros, zeros < 0, x, everything, nothing, nothing, single=zeros < 0
        )

    def step(self, task: Task, state: State) -> State:
        box, x = TanhReparameterization.of(task, self.stretch), state.x
        q = task.query(x, self.wish(task))
        assert q.gradient is not None
        gradient = 2 / box.width**2 * (x - task.inputs) + per_sample(state.c, x) * q.gradient
        adam = state.adam.seen(state.free * gradient * box.slope(x))
        m, v = adam.scaled(per_sample(state.step + 1, x))
        w = state.w - self.rate * m / v
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
        task.evaluate(state.x, self.wish(task))

    def _change(self, task: Task, x: ep.Tensor, gradient: ep.Tensor) -> ep.Tensor:
        """What the gradient is multiplied by to rate a value (n, ...): how far it moved, or can move downhill."""
        if self.importance == "change":
            return x - task.inputs
        low, high = task.threat.bounds
        return ep.where(gradient < 0, high - task.inputs, low - task.inputs)

    def _look(self, task: Task, state: State) -> State:
        """Freeze values of the samples that succeeded, and take back what was frozen where that failed."""
        lost = ep.logical_and(state.step >= self.iterations, ep.logical_not(state.won))
        frozen = state.found_free - state.free  # what the descent that is over had to do without
        nothing_yet = frozen.flatten(1).sum(1) == 0
        again = ep.logical_and(lost, ep.logical_or(nothing_yet, state.c < self.largest_c))
        c = ep.where(nothing_yet, ep.minimum(10 * state.c, self.largest_c), self.largest_c + 0 * state.c)
        state = choose(raw(again), state._replace(c=c, step=0 * state.step), state)

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
            w=TanhReparameterization.of(task, self.stretch).inverse(x),
            adam=Adam.like(x),
            found_free=state.free,
            free=free,
            c=ep.minimum(2 * state.c, self.largest_c),
            step=0 * state.step,
            won=state.step < 0,
        )
        return choose(raw(over), smaller, state)  # type: ignore[no-any-return]

    def _fewer(self, state: State) -> ep.Tensor:
        """``free`` without what contributes least, ``share`` of the whole or one value, and nothing that is needed."""
        gain = raw(self._units(state.gain * state.free))
        open_ = (raw(self._units(state.free)) > 0) & ~(raw(self._units(state.needed)) > 0)
        flat = gain.masked_fill(~open_, torch.inf).flatten(1)
        ordered, order = flat.sort(dim=1, stable=True)
        total = gain.flatten(1).sum(1, keepdim=True)
        small = ordered.cumsum(1) <= self.share * total
        small &= ~raw(state.single)[:, None]
        small[:, 0] = True
        small &= ordered.isfinite()
        drop = torch.zeros_like(small).scatter(1, order, small).view_as(gain)
        return ep.where(wrap(drop.expand_as(raw(state.free))), 0 * state.free, state.free)

    def _units(self, values: ep.Tensor) -> ep.Tensor:
        """What is frozen at once: values (n, ...), or pixels (n, 1, ...), the sum over their channels."""
        return values.sum(1, keepdims=True) if self.pixels else values
