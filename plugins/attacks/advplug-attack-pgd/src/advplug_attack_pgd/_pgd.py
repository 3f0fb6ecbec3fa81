"""Projected gradient descent (Madry et al. 2018, eq. 3; momentum from Dong et al. 2018, algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep

from advplug.attack import IterativeAttack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, NonNegative, Positive
from advplug.numerics import per_sample, unit
from advplug.search_space import Choices, Space, space_of

Rule = Literal["sign", "normalised", "raw", "equal-perturbation"]
Schedule = Literal["constant", "linear", "cosine"]
Judge = Literal["every", "last"]

DEFAULT_RULES: dict[str, Rule] = {"linf": "sign"}  # normalised under all other norms


class State(NamedTuple):
    """``x`` the current point, ``m`` the accumulated gradient, both (n, ...); ``alpha`` the first step (n, 1, ...)."""

    x: ep.Tensor
    m: ep.Tensor
    alpha: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class PGD(IterativeAttack[State]):
    """Projected gradient descent under Linf, L2, L1 and L0.

    Parameters
    ----------
    steps: number of gradient steps.
    step_size: length of the first step, in the units that ``rule`` gives it; None for 2.5 epsilon / steps, and for
        the width of the box under l0, where epsilon is a count.
    rule: ``sign`` of the gradient; ``normalised``, to unit L2 norm under l2 and to a largest entry of 1 otherwise;
        ``raw``; ``equal-perturbation``, to unit L1 norm (Ozbulak et al.: every step adds the same mass).
        None: sign under linf, normalised otherwise.
    random_start: start from a random point of the ball rather than from the input.
    momentum: decay mu of ``m = mu m + g / ||g||_1``; 0 is plain PGD.
    nesterov: take the gradient where the momentum alone would lead (Lin et al. 2020, equation 6), not at the point.
    schedule: ``constant``, ``linear`` or ``cosine`` decay of the step size towards zero.
    judge: ``every`` iterate may be a success, or only the ``last``: behind a detector whose decision costs many
        passes, judging takes longer than searching.
    """

    steps: Count = 40
    step_size: Positive | None = None
    rule: Rule | None = None
    random_start: bool = True
    momentum: NonNegative = 0.0
    nesterov: bool = False
    schedule: Schedule = "constant"
    judge: Judge = "every"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise InvalidInput("nesterov looks ahead along the momentum, which is 0: give momentum=1.0 as well")

    @property
    def begins_at_inputs(self) -> bool:
        return not self.random_start

    @classmethod
    def search_space(cls) -> Space:
        """Without rules that need a step size of their own, every iterate judged; with momentum."""
        tried = space_of(cls)
        kept = {name: tried[name] for name in ("random_start", "schedule")}
        return {**kept, "momentum": Choices((0.0, 0.75, 1.0))}

    def init(self, task: Task) -> State:
        x = task.start(self.random_start)
        return State(x, m=ep.zeros_like(x), alpha=self._first_step(task))

    def step(self, task: Task, state: State) -> State:
        g = task.query(self._asked(task, state), judge=self.judge == "every").gradient
        m = self.momentum * state.m + unit(g, "l1") if self.momentum else g
        x = state.x - self._decay(task.t) * state.alpha * self._direction(m, task.threat.norm)
        return State(task.project(x), m, state.alpha)

    def _asked(self, task: Task, state: State) -> ep.Tensor:
        """Where the gradient is taken: the point itself, or the one that the momentum leads to."""
        if not self.nesterov:
            return state.x
        ahead = self._decay(task.t) * state.alpha * self._direction(self.momentum * state.m, task.threat.norm)
        return task.project(state.x - ahead)

    def conclude(self, task: Task, state: State) -> None:
        if self.judge == "last":
            task.judge(state.x)
        else:
            task.evaluate(state.x)

    def _direction(self, m: ep.Tensor, norm: str) -> ep.Tensor:
        match self.rule or DEFAULT_RULES.get(norm, "normalised"):
            case "sign":
                return m.sign()
            case "normalised":
                return unit(m, "l2" if norm == "l2" else "linf")
            case "equal-perturbation":
                return unit(m, "l1")
            case _:
                return m

    def _first_step(self, task: Task) -> ep.Tensor:
        epsilon = task.epsilon
        if self.step_size is not None:
            alpha = ep.ones_like(epsilon) * self.step_size
        elif task.threat.norm == "l0":
            alpha = ep.ones_like(epsilon) * (task.threat.bounds[1] - task.threat.bounds[0])
        else:
            alpha = 2.5 / self.steps * epsilon
        return per_sample(alpha, task.inputs)

    def _decay(self, t: int) -> float:
        match self.schedule:
            case "linear":
                return 1 - t / self.steps
            case "cosine":
                return (1 + math.cos(math.pi * t / self.steps)) / 2
            case _:
                return 1.0
