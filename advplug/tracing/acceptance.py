"""A loss that leads past a detector which offers no score: its answer has a slope all the same."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep
import torch
from torch import Tensor

from advplug.engine.gateway import inside
from advplug.errors import InvalidInput
from advplug.losses import Loss, View
from advplug.model import DefendedModel
from advplug.numerics.tensors import raw, wrap
from advplug.tracing.operations import SoftOperations

LEAST = 1e-6
"""Below it, and above its complement, an answer is not told apart from a certain one."""


@dataclass(frozen=True)
class Acceptance(Loss):
    """``max(log((1 - a) / a), -k)``: by how much the deployed system is from accepting.

    ``a`` is what ``decide`` answers with a slope: a comparison with a threshold becomes a sigmoid, two classes that
    must agree become the probability that they do (:mod:`advplug.tracing.operations`). Labels and targets do not
    matter. ``confidence`` is the k at which the loss goes flat; infinite (never flat) unless given. Each value costs
    one pass through ``decide``.

    Raises
    ------
    InvalidInput: the model accepts everything.
    """

    confidence: float = float("inf")
    extra_passes = 1

    def __call__(self, view: View) -> ep.Tensor:
        if not view.model.rejects:
            raise InvalidInput(f"acceptance needs a model that rejects: {type(view.model).__name__} has no decide")
        accepted = softly_accepted(view.model, raw(view.x)).clamp(LEAST, 1 - LEAST)
        away = wrap((1 - accepted).log() - accepted.log())
        return away if self.confidence == float("inf") else ep.maximum(away, -self.confidence)


def softly_accepted(model: DefendedModel, x: Tensor) -> Tensor:
    """How far the deployed system accepts ``x`` (n, ...), from 0 to 1, float (n,); with a gradient if it shows one."""
    with torch.enable_grad(), SoftOperations() as operations:
        decision = model.decide(inside(model, x))
    accepted: Tensor = operations.value(decision.accepted)
    return accepted.to(x.dtype)
