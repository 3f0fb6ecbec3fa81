"""The loss that the detector's test is part of."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep
from advplug_defense_temporal_dependency import TemporalDependency

from advplug.errors import InvalidInput
from advplug.losses import Loss, View
from advplug.numerics import raw, wrap
from advplug.transcription import beginnings, ctc, lengths


@dataclass(frozen=True)
class CTCOfBeginnings(Loss):
    """``CTC(f(x), t) + sum_s CTC(f(x_s), t_s)``, x_s the beginnings that the detector looks at (Tramer et al. 2020).

    t_s are the first symbols of the target t, as many as the model now hears in x_s, at least one. So both terms want
    the same phrase; the beginning of what is now heard in the whole would be another target in every step.
    """

    reads = "frames"
    needs_targets = True

    def __call__(self, view: View) -> ep.Tensor:
        model = view.model
        if not isinstance(model, TemporalDependency):
            raise InvalidInput(f"CTCOfBeginnings is for TemporalDependency, the model is a {type(model).__name__}")
        if view.targets is None:
            raise InvalidInput("CTCOfBeginnings needs targets")
        targets, symbols = raw(view.targets), len(model.symbols)
        loss = ctc(model, raw(view.logits), targets)
        for scores in model.beginnings(raw(view.x)):
            heard = lengths(model.answers(scores.detach()), symbols).clamp(min=1)
            loss = loss + ctc(model, scores, beginnings(targets, heard, symbols))
        return wrap(loss)
