"""From which side a detector objects to a point."""

from __future__ import annotations

from typing import NamedTuple

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Task
from advplug.errors import InvalidInput
from advplug.model import Decision, DefendedModel
from advplug.numerics import raw, wrap


class Sides(NamedTuple):
    """Shares of the votes, (n,): that call the point too ``near``, too ``far``, or object at all."""

    near: ep.Tensor
    far: ep.Tensor
    objections: ep.Tensor


def sides(task: Task, x: ep.Tensor, near: tuple[int, ...], votes: int) -> Sides:
    """Ask the detector about ``x`` (n, ...), ``votes`` times if it is stochastic.

    A point that does not reach the goal, whatever the detector says, is too near. ``near`` are indices of scores.
    """
    model = task.problem.model
    labels = raw(task.evaluate(x, judge=False).logits).argmax(1)
    answer = Decision(labels, torch.ones_like(labels, dtype=torch.bool))
    targets = None if task.targets is None else raw(task.targets)
    missed = ~task.problem.criterion(answer, raw(task.labels), targets)
    counts = torch.zeros(3, len(labels), dtype=torch.float32, device=labels.device)
    asked = votes if model.stochastic else 1
    for _ in range(asked):
        flags = _flags(task, model, x)
        chosen = _columns(near, flags)
        too_near, too_far = flags[:, chosen].any(1) | missed, flags[:, ~chosen].any(1) & ~missed
        counts += torch.stack((too_near, too_far, too_near | too_far))
    return Sides(*(wrap(count.to(raw(x).dtype)) for count in counts / asked))


def _flags(task: Task, model: DefendedModel, x: ep.Tensor) -> Tensor:
    """Which scores of ``x`` exceed their thresholds, bool (n, S); S is 0 without a detector."""
    if not model.rejects:
        return torch.zeros(len(x), 0, dtype=torch.bool, device=raw(x).device)
    offers = model.capabilities
    if offers.detector_scores is not None and offers.thresholds is not None:
        return task.ask(offers.detector_scores, x).view(len(x), -1) > offers.thresholds
    return ~task.ask(lambda point: model.decide(point).accepted, x)[:, None]


def _columns(near: tuple[int, ...], flags: Tensor) -> Tensor:
    """Bool (S,): the scores that object to points near the boundary."""
    count = flags.shape[1]
    if count and not all(0 <= index < count for index in near):
        raise InvalidInput(f"near {near}: the detector has scores 0 to {count - 1}")
    return torch.tensor([index in near for index in range(count)], dtype=torch.bool, device=flags.device)
