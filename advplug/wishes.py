"""What an attack may ask of a point beyond the goal; see :data:`advplug.task.Wish`."""

from __future__ import annotations

import eagerpy as ep

from advplug.ops import best_other, pick
from advplug.task import Task, Wish


def confident(task: Task, kappa: float) -> Wish | None:
    """The wish that the logit of the target, or of some wrong class, is at least ``kappa`` above; None for 0."""
    if kappa == 0:
        return None
    aims, sign = (task.labels, -1) if task.targets is None else (task.targets, 1)

    def wish(logits: ep.Tensor) -> ep.Tensor:
        return sign * (pick(logits, aims) - best_other(logits, aims)) >= kappa

    return wish
