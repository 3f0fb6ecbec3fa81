"""The high-confidence attack (Matyasko and Chau 2018; Matyasko's thesis, algorithm 1 and equations 4.6 to 4.8)."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import eagerpy as ep
import torch

from advplug.attack import IterativeAttack, Task, Wish
from advplug.errors import InvalidInput
from advplug.losses import ClassGaps
from advplug.numerics import pick, raw, wrap
from advplug_attack_high_confidence._steps import log_level, nearest_boundary, step_to_level, unit

Choice = Literal["closest", "uniform", "softmax"]


class State(NamedTuple):
    """``x`` the current point (n, ...), ``target`` the class t, int64 (n,), ``level`` log C, (n,)."""

    x: ep.Tensor
    target: ep.Tensor
    level: ep.Tensor


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

    def __init__(
        self,
        *,
        confidence: float | Literal["clean"] = "clean",
        steps: int = 500,
        clip: float | None = None,
        overshoot: float = 0.02,
        target: Choice = "closest",
        top_k: int | None = None,
    ) -> None:
        if confidence != "clean" and (isinstance(confidence, str) or not 0 < confidence <= 1):
            raise InvalidInput(f"confidence is {confidence!r}: give a number above 0 and at most 1, or 'clean'")
        if steps < 1:
            raise InvalidInput(f"steps is {steps}: give at least 1")
        if clip is not None and not clip > 0:
            raise InvalidInput(f"clip is {clip}: give a positive number (inf for steps of any length), or None")
        if not overshoot >= 0:
            raise InvalidInput(f"overshoot is {overshoot}: give a number >= 0")
        if target not in get_args(Choice):
            raise InvalidInput(f"target {target!r}: choose one of {', '.join(get_args(Choice))}")
        if top_k is not None and top_k < 1:
            raise InvalidInput(f"top_k is {top_k}: give at least 1, or None for all classes")
        self.confidence = confidence
        self.steps = steps
        self.clip = clip
        self.overshoot = overshoot
        self.target = target
        self.top_k = top_k

    def init(self, task: Task) -> State:
        target, logits = self._target(task)
        clean = pick(logits.softmax(), task.labels)  # samples that are wrong before the attack are not attacked
        confidence = clean if self.confidence == "clean" else ep.full_like(clean, float(self.confidence))
        return State(task.inputs, target, log_level(confidence))

    def step(self, task: Task, state: State) -> State:
        q = task.query(state.x, reached(state), targets=state.target)
        task.finish(q.success)
        assert q.gradient is not None
        width = task.threat.bounds[1] - task.threat.bounds[0]
        gap = (state.level + q.loss).abs()  # |log C - log p_t|
        w = -width * within(task.threat.bounds, state.x, q.gradient)  # gradient of log p_t, for inputs in [0, 1]
        r = width * step_to_level(gap, w, task.threat.norm, self._longest(task))
        return state._replace(x=task.clip(state.x + (1 + self.overshoot) * r))

    def conclude(self, task: Task, state: State) -> None:
        task.evaluate(state.x, reached(state), targets=state.target)

    def _target(self, task: Task) -> tuple[ep.Tensor, ep.Tensor]:
        """The class t of each sample (n,), and the clean logits (n, K)."""
        if task.targets is not None:
            return task.targets, task.evaluate(task.inputs).logits
        gaps = ClassGaps(self.top_k or task.problem.model.num_classes)
        if self.target == "closest":
            q = task.query(task.inputs, loss=gaps)
            assert q.gradient is not None
            others = gaps.classes(q.logits, task.labels)
            return pick(others, nearest_boundary(q.loss, q.gradient, task.threat.norm)), q.logits
        logits = task.evaluate(task.inputs).logits
        others = gaps.classes(logits, task.labels)
        noise = raw(task.noise.uniform(0, (others.shape[1],))).to(raw(logits)).clamp(min=1e-7)
        scores = wrap(-(-noise.log()).log())  # Gumbel noise: its largest value is a draw from the softmax of the scores
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


def reached(state: State) -> Wish:
    """Whether the target is the likeliest class and has the confidence: algorithm 1, line 4, and the author code."""

    def has_confidence(logits: ep.Tensor) -> ep.Tensor:
        enough = pick(logits.log_softmax(), state.target) >= state.level
        return ep.logical_and(enough, logits.argmax(1) == state.target)

    return has_confidence
