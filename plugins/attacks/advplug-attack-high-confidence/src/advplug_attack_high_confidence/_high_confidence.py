"""The high-confidence attack (Matyasko and Chau 2018; Matyasko's thesis, algorithm 1 and equations 4.6 to 4.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Task
from advplug.criteria import Criterion, scores_of
from advplug.hyperparameters import Above, Count, NonNegative, PositiveShare
from advplug.losses import ClassGaps
from advplug.model import Decision
from advplug.numerics import pick, raw, wrap
from advplug_attack_high_confidence._steps import log_level, nearest_boundary, step_to_level, unit

Choice = Literal["closest", "uniform", "softmax"]


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
    """``x`` the current point (n, ...) and the ``goal`` of its sample."""

    x: ep.Tensor
    goal: Reached


@dataclass(frozen=True, kw_only=True)
class HighConfidence(IterativeAttack[State]):
    """Steps to the hyperplane ``log p_t = log C`` until the class t has the confidence C.

    The steps follow the gradient of the loss, minus a log-likelihood of the target: by default cross-entropy. A point
    counts when the criterion holds, t is the likeliest class and its softmax is at least C.

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
    """

    norms = ("l2", "linf")
    minimum_norm = True

    confidence: PositiveShare | Literal["clean"] = "clean"
    steps: Count = 500
    clip: Annotated[float, Above(infinite=True)] | None = None
    overshoot: NonNegative = 0.02
    target: Choice = "closest"
    top_k: Count | None = None

    def init(self, task: Task) -> State:
        target, logits = self._target(task)
        clean = pick(logits.softmax(), task.labels)  # samples that are wrong before the attack are not attacked
        confidence = clean if self.confidence == "clean" else ep.full_like(clean, self.confidence)
        return State(task.inputs, Reached(target, log_level(confidence)))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x, state.goal, targets=state.goal.target)
        task.finish(q.success)
        width = task.threat.bounds[1] - task.threat.bounds[0]
        gap = (state.goal.level + q.loss).abs()  # |log C - log p_t|
        w = -width * within(task.threat.bounds, state.x, q.gradient)  # gradient of log p_t, for inputs in [0, 1]
        r = width * step_to_level(gap, w, task.threat.norm, self._longest(task))
        return state._replace(x=task.clip(state.x + (1 + self.overshoot) * r))

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
