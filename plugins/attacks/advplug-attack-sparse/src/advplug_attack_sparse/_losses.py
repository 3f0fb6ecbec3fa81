"""Losses of sparse attacks."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep

from advplug.losses import ClassGaps, Loss, View
from advplug.numerics import pick


@dataclass(frozen=True)
class TargetAndRest(Loss):
    """``-z_t`` and ``sum_{j != t} z_j``, (n, 2): all that saliency maps need of the Jacobian.

    Without targets t is the likeliest class other than the label.
    """

    def __call__(self, view: View) -> ep.Tensor:
        aim = view.targets
        if aim is None:
            aim = ClassGaps(1).classes(view.logits, view.labels)[:, 0]
        score = pick(view.logits, aim)
        return ep.stack((-score, view.logits.sum(1) - score), 1)
