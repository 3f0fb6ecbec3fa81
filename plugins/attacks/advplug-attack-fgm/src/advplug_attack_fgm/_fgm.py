"""The fast gradient method (Goodfellow et al. 2015) and its iterative form (Kurakin et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.hyperparameters import Count
from advplug.numerics import per_sample, raw, unit, wrap

L1Rule = Literal["gradient", "steepest"]


class State(NamedTuple):
    """``x`` the current point (n, ...)."""

    x: ep.Tensor


@dataclass(frozen=True, kw_only=True)
class FGM(IterativeAttack[State]):
    """Fast gradient method: all of the budget along one gradient; with more steps, an equal part of it along each.

    A step goes along the sign of the gradient under Linf, and along ``g / ||g||_2`` under L2.

    Parameters
    ----------
    steps: number of steps; more than one is the iterative fast gradient method, 10 steps as a rule.
    l1_rule: under L1, step along ``gradient``, ``g / ||g||_1``, as is common; or the ``steepest`` way, which changes
        the values of largest gradient alone, each as far as the bounds allow.
    rescale: under L2 and L1 bring every perturbation to the norm epsilon, as Chen et al. (2018, EAD) do, rather than
        to the nearest allowed point.
    """

    norms = ("linf", "l2", "l1")
    begins_at_inputs = True

    steps: Count = 1
    l1_rule: L1Rule = "gradient"
    rescale: bool = False

    def init(self, task: Task) -> State:
        return State(task.start(random=False))

    def step(self, task: Task, state: State) -> State:
        x = state.x - self._along(task, state.x, task.gradient(state.x))
        if not self.rescale or task.threat.norm == "linf":
            return State(task.project(x))
        delta = unit(x - task.inputs, task.threat.norm)
        return State(task.clip(task.inputs + per_sample(task.epsilon, x) * delta))

    def _along(self, task: Task, x: ep.Tensor, g: ep.Tensor) -> ep.Tensor:
        """What the step takes off ``x``: epsilon / steps of the norm, along the gradient."""
        size = task.epsilon / self.steps
        if task.threat.norm == "linf":
            return per_sample(size, x) * g.sign()
        if task.threat.norm == "l1" and self.l1_rule == "steepest":
            return wrap(steepest(raw(x), raw(g), raw(size), task.threat.bounds))
        return per_sample(size, x) * unit(g, task.threat.norm)


def steepest(x: Tensor, g: Tensor, size: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The step of L1 norm ``size`` (n,) for which ``g . step`` is greatest while ``x - step`` (n, ...) is in bounds."""
    flat, slope = x.flatten(1), g.flatten(1)
    room = torch.where(slope > 0, flat - bounds[0], bounds[1] - flat) * (slope != 0)
    order = slope.abs().argsort(dim=1, descending=True, stable=True)
    spent = room.gather(1, order).cumsum(1).minimum(size[:, None])
    step = spent.diff(dim=1, prepend=torch.zeros_like(spent[:, :1]))
    return (torch.zeros_like(step).scatter(1, order, step) * slope.sign()).view_as(x)
