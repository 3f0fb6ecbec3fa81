"""The high-confidence attack (Matyasko and Chau 2018; Matyasko's thesis, algorithm 1 and equations 4.6 to 4.8)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.criteria import Criterion, scores_of
from advplug.hyperparameters import Above, Count, Decay, NonNegative, PositiveShare
from advplug.losses import ClassGaps
from advplug.model import Decision
from advplug.numerics import per_sample, pick, raw, wrap
from advplug_attack_high_confidence._steps import along, direction, log_level, nearest_boundary, step_to_level, unit

Choice = Literal["closest", "uniform", "softmax"]
PROGRESS = 0.9  # steps stall when they do not bring the gap below this share of what it was
MEMORY = 0.99  # share of the past in the mean squares of the gradient
FLOOR = 0.003  # their roots are not divided by as if below this share of those of a gradient with equal values


@dataclass(frozen=True, eq=False)
class Reached(Criterion):
    """The class t is the likeliest and has the confidence C: algorithm 1, line 4, and the author code.

    ``target`` int64 (n,) is t, ``level`` (n,) is log C.
    """

    target: ep.Tensor
    level: ep.Tensor

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        logits = scores_of(decision)
        enough = pick(logits.log_softmax(), self.target) >= self.level
        return raw(ep.logical_and(enough, logits.argmax(1) == self.target))


class State(NamedTuple):
    """``x`` the current point (n, ...), the ``goal`` of its sample, and what tells whether its steps stall.

    ``mark`` (n,) is the last gap that was progress, ``since`` (n,) the steps after it, ``stalled`` (n,) whether they
    were ever too many. ``squares`` (n, ...) is the running mean of the squares of the gradient, taken at length 1.
    """

    x: ep.Tensor
    goal: Reached
    mark: ep.Tensor
    since: ep.Tensor
    stalled: ep.Tensor
    squares: ep.Tensor

    def after(self, gap: ep.Tensor, w: ep.Tensor, patience: int | None) -> State:
        """The state that knows the gap (n,) to the level and the gradient ``w`` (n, ...) at its point, too."""
        progress = gap < PROGRESS * self.mark
        since = ep.where(progress, 0.0, self.since + 1)
        stalled = self.stalled if patience is None else ep.logical_or(self.stalled, since >= patience)
        squares = MEMORY * self.squares + (1 - MEMORY) * direction(w).square()
        return self._replace(mark=ep.where(progress, gap, self.mark), since=since, stalled=stalled, squares=squares)


@dataclass(frozen=True, kw_only=True)
class HighConfidence(IterativeAttack[State]):
    """Steps to the hyperplane ``log p_t = log C`` until the class t has the confidence C.

    The steps follow the gradient of the loss, minus a log-likelihood of the target: by default cross-entropy. A point
    counts when the criterion holds, t is the likeliest class and its softmax is at least C.

    Where the loss has many kinks, a few values with large gradients of changing sign make l2 steps zigzag below C. The
    sources have no remedy. Here a sample whose steps stall goes to its hyperplane along its gradient divided by the
    root of its mean squares, as Adam would. That way is longer, so the sample spends its other steps on coming nearer.

    Parameters
    ----------
    confidence: C in (0, 1], capped at 1 - 1e-6; ``"clean"`` for what the model gives the clean sample's class.
    steps: steps at most; a sample leaves when it has its confidence.
    clip: longest step before ``overshoot``, in the norm and for inputs in [0, 1] (other bounds scale it); None is 0.1
        under l2 and 0.1 / sqrt(values of an input) under linf.
    overshoot: each step goes that share further.
    target: without given targets, the class to go to: ``closest`` linearised boundary, or drawn ``uniform``ly or by
        ``softmax`` probability among the classes other than the true one.
    top_k: choose among the k likeliest of these only; None for all. ``closest`` takes a backward pass for each.
    patience: under l2, steps stall when so many take less than a tenth off ``log C - log p_t``; None for the attack
        of the sources.
    retreat: a sample that stalled goes back by that share of its perturbation whenever it has its confidence, until
        the last step; with 0 it leaves like the others.
    """

    norms = ("l2", "linf")
    minimum_norm = True

    confidence: PositiveShare | Literal["clean"] = "clean"
    steps: Count = 500
    clip: Annotated[float, Above(infinite=True)] | None = None
    overshoot: NonNegative = 0.02
    target: Choice = "closest"
    top_k: Count | None = None
    patience: Count | None = 10
    retreat: Decay = 0.1

    def init(self, task: Task) -> State:
        target, logits = self._target(task)
        clean = pick(logits.softmax(), task.labels)  # samples that are wrong before the attack are not attacked
        confidence = clean if self.confidence == "clean" else ep.full_like(clean, self.confidence)
        none = ep.zeros_like(clean)
        goal = Reached(target, log_level(confidence))
        return State(task.inputs, goal, none + math.inf, none, none > 0, ep.zeros_like(task.inputs))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x, state.goal, targets=state.goal.target)
        norm, bounds = task.threat.norm, task.threat.bounds
        width = bounds[1] - bounds[0]
        gap = state.goal.level + q.loss  # log C - log p_t
        w = -width * within(bounds, state.x, q.gradient)  # gradient of log p_t, for inputs in [0, 1]
        if norm == "l2":
            state = state.after(gap, w, self.patience)
            even = w / (state.squares.sqrt() + FLOOR / math.sqrt(math.prod(w.shape[1:])))
            w = ep.where(per_sample(state.stalled, w), along(even, w), w)
        r = width * step_to_level(gap.abs(), w, norm, self._longest(task))
        returns = ep.logical_and(q.success, state.stalled)
        task.finish(q.success if self.retreat == 0 else ep.logical_and(q.success, ep.logical_not(returns)))
        nearer = task.inputs + (1 - self.retreat) * (state.x - task.inputs)
        onward = state.x + (1 + self.overshoot) * r
        return state._replace(x=task.clip(ep.where(per_sample(returns, r), nearer, onward)))

    def conclude(self, task: Task, state: State) -> None:
        task.evaluate(state.x, state.goal, targets=state.goal.target)

    def _target(self, task: Task) -> tuple[ep.Tensor, ep.Tensor]:
        """The class t of each sample (n,), and the clean logits (n, K)."""
        if task.targets is not None:
            return task.targets, task.evaluate(task.inputs).logits
        gaps = ClassGaps(self.top_k or task.problem.model.num_classes)
        if self.target == "closest":
            q = task.query(task.inputs, loss=gaps)
            others = gaps.classes(q.logits, task.labels)
            return pick(others, nearest_boundary(q.loss, q.gradient, task.threat.norm)), q.logits
        logits = task.evaluate(task.inputs).logits
        others = gaps.classes(logits, task.labels)
        noise = ep.maximum(wrap(task.noise.uniform(0, (others.shape[1],))).astype(logits.dtype), 1e-7)
        scores = -(-noise.log()).log()  # Gumbel noise: its largest value is a draw from the softmax of the scores
        if self.target == "softmax":
            scores = scores + wrap(torch.take_along_dim(raw(logits), raw(others), 1))
        return pick(others, scores.argmax(1)), logits

    def _longest(self, task: Task) -> float:
        return 0.1 * unit(task.threat.norm, task.inputs) if self.clip is None else self.clip


def within(bounds: tuple[float, float], x: ep.Tensor, gradient: ep.Tensor) -> ep.Tensor:
    """``gradient`` (n, ...) of a loss, zero where descent would take values of ``x`` at a bound out of it.

    With them the step would be as long as in free space and lose most of its length when it is cut to the bounds.
    """
    stuck = ep.logical_or(
        ep.logical_and(x <= bounds[0], gradient > 0),
        ep.logical_and(x >= bounds[1], gradient < 0),
    )
    return ep.where(stuck, 0.0, gradient)
