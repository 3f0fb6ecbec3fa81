"""Losses of logits, for models whose scores are probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import eagerpy as ep
from torch import Tensor

from advplug.losses import LEAST_PROBABILITY, CrossEntropy, Loss, View


@dataclass(frozen=True)
class AtLogProbabilities(Loss):
    """The loss ``of`` at the logarithm of the scores, if the model declares them to be probabilities.

    An ensemble that averages the softmax of its members has no logits; the logarithm of its answer is as good. Without
    it :class:`CrossEntropy` takes softmax twice, and its gradient is that of almost uniform probabilities. Logits are
    taken as they are.
    """

    of: Loss = field(default_factory=CrossEntropy)

    @property
    def layers(self) -> tuple[str, ...]:
        return self.of.layers

    @property
    def needs_targets(self) -> bool:
        return self.of.needs_targets

    @property
    def min_classes(self) -> int:
        return self.of.min_classes

    @property
    def extra_passes(self) -> int:
        return self.of.extra_passes

    def at(self, places: Tensor, total: int) -> Loss:
        return replace(self, of=self.of.at(places, total))

    def __call__(self, view: View) -> ep.Tensor:
        if view.model.outputs == "probabilities":
            view = replace(view, logits=ep.maximum(view.logits, LEAST_PROBABILITY).log())
        return self.of(view)
