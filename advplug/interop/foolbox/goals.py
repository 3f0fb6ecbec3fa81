"""Foolbox's criteria as goals of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from foolbox.criteria import Misclassification, TargetedMisclassification, _And
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.interop.arrays import tensor_of
from advplug.interop.calls import Goal
from advplug.numerics.tensors import raw

_KNOWN = "labels, Misclassification, TargetedMisclassification, or the last two joined by &"


def goal_of(criterion: Any) -> Goal:
    """What ``criterion`` asks for: labels as a tensor, eagerpy tensor or numpy array, or a Foolbox criterion.

    Raises
    ------
    InvalidInput: a criterion of another kind. It would have to judge points of which the attack sees a part.
    """
    labels, targets = _parts(criterion)
    if targets is None:
        return Goal(labels)
    # Whoever reaches a target other than the label has left the label.
    if labels is not None and (labels.shape != targets.shape or bool((labels.to(targets.device) == targets).any())):
        raise InvalidInput("criterion joins labels and targets: give one of each for an input, and never the same")
    return Goal(targets, targeted=True)


def _parts(criterion: Any) -> tuple[Tensor | None, Tensor | None]:
    """The labels to leave and the classes to reach."""
    kind = type(criterion)  # a subclass may judge otherwise
    if kind is TargetedMisclassification:
        return None, _classes(criterion.target_classes)
    if kind is Misclassification:
        return _classes(criterion.labels), None
    if kind is _And:
        parts = _parts(criterion.a), _parts(criterion.b)
        labels, targets = ([part for part in pair if part is not None] for pair in zip(*parts, strict=True))
        if len(labels) == len(targets) == 1:
            return labels[0], targets[0]
        raise InvalidInput(f"criterion {criterion!r} joins two of one kind: give {_KNOWN}")
    return _classes(criterion), None


def _classes(labels: Any) -> Tensor:
    classes = raw(labels)
    if not isinstance(classes, Tensor | np.ndarray):
        raise InvalidInput(f"criterion is a {type(classes).__name__}: give {_KNOWN}")
    return tensor_of("criterion", classes)
