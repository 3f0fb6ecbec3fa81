"""Losses of logits, for models whose scores are probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import eagerpy as ep

from advplug.families.wrapped_losses import LossAround
from advplug.losses import LEAST_PROBABILITY, CrossEntropy, Loss, View


@dataclass(frozen=True)
class AtLogProbabilities(LossAround):
    """The loss ``of`` at the logarithm of the scores, if the model declares them to be probabilities.

    An ensemble that averages the softmax of its members has no logits; the logarithm of its answer is as good. Without
    it :class:`CrossEntropy` takes softmax twice, and its gradient is that of almost uniform probabilities. Logits are
    taken as they are.
    """

    of: Loss = field(default_factory=CrossEntropy)

    def __call__(self, view: View) -> ep.Tensor:
        if view.model.outputs == "probabilities":
            view = replace(view, logits=ep.maximum(view.logits, LEAST_PROBABILITY).log())
        return self.of(view)
