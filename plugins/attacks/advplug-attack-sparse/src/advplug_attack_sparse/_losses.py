"""Losses of sparse attacks."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep

from advplug.losses import CrossEntropy, Loss, Margin, View


@dataclass(frozen=True)
class MarginOrCrossEntropy(Loss):
    """The margin without targets, cross-entropy with them: what Sparse-RS takes for each goal."""

    def __call__(self, view: View) -> ep.Tensor:
        return Margin()(view) if view.targets is None else CrossEntropy()(view)
