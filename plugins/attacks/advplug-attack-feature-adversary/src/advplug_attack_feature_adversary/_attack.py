"""The feature adversary (Sabour et al. 2016, eq. 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Gateway, IterativeAttack, Problem, Task
from advplug.errors import InvalidInput
from advplug.families import find_layer, scores_and_activations
from advplug.hyperparameters import Count, Interval
from advplug.losses import CentreDistance
from advplug.numerics import per_sample, unit, wrap


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


@dataclass(frozen=True, kw_only=True)
class FeatureAdversary(IterativeAttack[State]):
    """``min ||phi(x) - phi(guide)||^2`` within the budget: inside the model, look like an image of another class.

    The guide of a class is the auxiliary image that the model assigns to it by the widest margin. A sample goes to
    the guide of its target, or without targets to the guide of another class whose representation is nearest.

    Parameters
    ----------
    layer: where to compare, a module by its path, what goes into it (``"path:input"``), or ``"features"``; None for
        what goes into the last linear layer, or comes out of it where it is the only layer.
    steps: projected gradient steps; the paper minimises by L-BFGS.
    step_size: share of epsilon that a step changes, of every value under linf, of the norm under l2.
    """

    norms = ("linf", "l2")
    needs_auxiliary = True
    fixed_loss = True

    layer: str | None = None
    steps: Count = 100
    step_size: Annotated[float, Interval(0, 2, "high")] = 0.1

    def prepare(self, problem: Problem, gateway: Gateway) -> Guides:
        inputs, own = gateway.cast(problem.inputs), gateway.cast(problem.own_images.inputs)
        layer = find_layer(self.layer, gateway, inputs)
        scores, activations = scores_and_activations(layer, gateway, own)
        margin, image = margins(scores).max(0)
        there = margin > 0  # classes that the model assigns an image to
        if problem.has_targets:
            wanted = problem.targets.unique() if isinstance(problem.targets, Tensor) else torch.arange(len(there))
            missing = [label for label in wanted.tolist() if not there[label]]
            if missing:
                raise InvalidInput(f"the model takes no auxiliary image for {missing}: give it more to choose from")
        guides = activations[image]
        inside = scores_and_activations(layer, gateway, inputs)[1]
        distance = torch.cdist(inside.flatten(1)[None], guides.flatten(1)[None])[0]
        distance = distance.masked_fill(~there, torch.inf).scatter(1, problem.labels[:, None], torch.inf)
        return Guides(CentreDistance(guides, layer), distance.argmin(1), image)

    def init(self, task: Task) -> State:
        guides: Guides = task.prepared
        goal = wrap(guides.nearest)[task.samples] if task.targets is None else task.targets
        return State(task.start(random=False), goal)

    def step(self, task: Task, state: State) -> State:
        guides: Guides = task.prepared
        g = task.query(state.x, loss=guides.loss, targets=state.goal).gradient
        direction = g.sign() if task.threat.norm == "linf" else unit(g)
        x = state.x - self.step_size * per_sample(task.epsilon, g) * direction
        return State(task.project(x), state.goal)


def margins(scores: Tensor) -> Tensor:
    """By how much each class leads over the best other one, (m, K) for scores (m, K); below zero where it does not."""
    first, second = scores.topk(2, dim=1).values.unbind(1)
    best_other = torch.where(scores == first[:, None], second[:, None], first[:, None])
    return scores - best_other
