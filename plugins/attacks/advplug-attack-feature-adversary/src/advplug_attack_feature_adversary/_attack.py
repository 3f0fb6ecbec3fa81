"""The feature adversary (Sabour et al. 2016, eq. 1 and 2)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Oracle, Problem, Task
from advplug.errors import InvalidInput
from advplug.losses import CentreDistance
from advplug.numerics import best_other, per_sample, pick, raw, unit, wrap
from advplug_attack_feature_adversary._parts import find_part, scores_and_values


class Guides(NamedTuple):
    """``loss``: squared distance to the representation of the guide of each class; ``nearest`` int64 (N,): the other
    class whose guide is nearest to each attacked sample; ``images`` int64 (K,): which auxiliary image is the guide.
    """

    loss: CentreDistance
    nearest: Tensor
    images: Tensor


class State(NamedTuple):
    """``x`` the current point (n, ...); ``goal`` int64 (n,) the class of its guide."""

    x: ep.Tensor
    goal: ep.Tensor


class FeatureAdversary(IterativeAttack[State]):
    """``min ||phi(x) - phi(guide)||^2`` within the budget: inside the model, look like an image of another class.

    The guide of a class is the auxiliary image that the model assigns to it by the widest margin. A sample goes to
    the guide of its target, or without targets to the guide of another class whose representation is nearest.

    Parameters
    ----------
    part: where to compare, a module by its path, what goes into it (``"path:input"``), or ``"features"``; None for
        what goes into the last linear layer, or comes out of it where it is the only layer.
    steps: projected gradient steps; the paper minimises by L-BFGS.
    step_size: share of epsilon that a step changes, of every value under linf, of the norm under l2.
    """

    norms: ClassVar[tuple[str, ...]] = ("linf", "l2")
    needs_auxiliary: ClassVar[bool] = True
    fixed_loss: ClassVar[bool] = True

    def __init__(self, *, part: str | None = None, steps: int = 100, step_size: float = 0.1) -> None:
        if steps < 1:
            raise InvalidInput(f"steps is {steps}: give at least 1")
        if not 0 < step_size <= 2:
            raise InvalidInput(f"step_size is {step_size}: give a share of epsilon, such as 0.1")
        self.part = part
        self.steps = steps
        self.step_size = step_size

    def prepare(self, problem: Problem, oracle: Oracle) -> Guides:
        assert problem.auxiliary is not None
        part = find_part(problem.model, self.part, oracle, problem.inputs)
        own, classes = problem.auxiliary.inputs.to(problem.inputs.dtype), range(problem.model.num_classes)
        scores, values = scores_and_values(problem.model, part, oracle, own)
        margins = torch.stack([_margin(scores, label) for label in classes], 1)
        best = margins.max(0)
        there = best.values > 0  # classes that the model assigns an image to
        if problem.targets is not None:
            wanted = problem.targets.unique() if isinstance(problem.targets, Tensor) else torch.tensor(classes)
            missing = [label for label in wanted.tolist() if not there[label]]
            if missing:
                raise InvalidInput(f"the model takes no auxiliary image for {missing}: give it more to choose from")
        guides = values[best.indices]
        inside = scores_and_values(problem.model, part, oracle, problem.inputs)[1]
        distance = torch.cdist(inside.flatten(1)[None], guides.flatten(1)[None])[0]
        distance = distance.masked_fill(~there, torch.inf).scatter(1, problem.labels[:, None], torch.inf)
        return Guides(CentreDistance(guides, part), distance.argmin(1), best.indices)

    def init(self, task: Task) -> State:
        guides: Guides = task.prepared
        goal = task.targets if task.targets is not None else wrap(guides.nearest[task.rows.samples])
        return State(task.start(random=False), goal)

    def step(self, task: Task, state: State) -> State:
        gradient: Any = task.query(state.x, loss=task.prepared.loss, targets=state.goal).gradient
        norm = task.threat.norm
        along = gradient.sign() if norm == "linf" else unit(gradient, norm)
        x = state.x - per_sample(self.step_size * wrap(task.epsilon), along) * along
        return State(task.project(x), state.goal)


def _margin(scores: Tensor, label: int) -> Tensor:
    """By how much ``label`` leads, (m,) for scores (m, K)."""
    labels = wrap(torch.full((len(scores),), label, device=scores.device))
    return raw(pick(wrap(scores), labels) - best_other(wrap(scores), labels))
