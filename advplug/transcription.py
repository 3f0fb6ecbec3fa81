"""Models that transcribe: their answer is a sequence of symbols, not one class.

A transcription is a label like any other, because a sequence of symbols is one whole number
(:mod:`advplug.numerics.sequences`). Engine, storage and criteria compare labels and never look inside, so that
:class:`advplug.criteria.Targeted` means "transcribed as the target". What knows of symbols is here: the model that
reads them off its frames, and the loss of their sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import eagerpy as ep
import torch
import torch.nn.functional as F
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.losses import Loss, View
from advplug.model import DefendedModel
from advplug.numerics.sequences import NONE, beginnings, lengths, longest, packed, spelled, unpacked
from advplug.numerics.tensors import raw, wrap

__all__ = ["CTC", "NONE", "Transcriber", "beginnings", "ctc", "lengths", "longest", "packed", "spelled", "unpacked"]


class Transcriber(DefendedModel):
    """A model that gives each frame of an input log-probabilities of K symbols and of the blank, which is the last.

    Subclasses write :meth:`forward`, which returns the frames in a row, (N, T * (K + 1)). Inputs of another length may
    have another number of frames. ``num_classes`` counts the sequences that fit into a label.

    Parameters
    ----------
    symbols: the name of each symbol, such as the letters of an alphabet.
    bounds: range of valid input values.
    """

    outputs = "frames"

    def __init__(self, symbols: Sequence[str], bounds: tuple[float, float] = (-1.0, 1.0)) -> None:
        super().__init__((len(symbols) + 1) ** longest(len(symbols)), bounds)
        self.symbols = tuple(symbols)

    def frames(self, scores: Tensor) -> Tensor:
        """The log-probabilities of each frame, (..., T, K + 1), in the scores (..., T * (K + 1))."""
        return scores.view(*scores.shape[:-1], -1, len(self.symbols) + 1)

    def answers(self, scores: Tensor) -> Tensor:
        """The likeliest symbol of each frame, repetitions and blanks left out (Graves et al. 2006, best path).

        Symbols beyond those that fit into a label are left out as well.
        """
        blank = len(self.symbols)
        best = self.frames(scores).argmax(-1)
        before = F.pad(best, (1, 0), value=blank)[..., :-1]
        kept = (best != blank) & (best != before)
        kept &= kept.cumsum(-1) <= longest(blank)
        return packed(torch.where(kept, best, NONE), blank)

    def spelled(self, label: int) -> str:
        """The transcription behind a label."""
        return spelled(label, self.symbols)


@dataclass(frozen=True)
class CTC(Loss):
    """``-log p(t)`` of the target's sequence over all alignments, or ``log p(y)`` (Graves et al. 2006).

    The loss of connectionist temporal classification, for models that transcribe.
    """

    reads = "frames"

    def __call__(self, view: View) -> ep.Tensor:
        model = transcriber(view.model)
        if view.targets is None:
            return wrap(-ctc(model, raw(view.logits), raw(view.labels)))
        return wrap(ctc(model, raw(view.logits), raw(view.targets)))


def ctc(model: Transcriber, scores: Tensor, labels: Tensor) -> Tensor:
    """``-log p(y)`` of the sequences ``labels``, int64 (n,), (n,) for scores (n, T * (K + 1)).

    Infinite where a sequence has more symbols than there are frames.
    """
    frames, symbols = model.frames(scores).transpose(0, 1), len(model.symbols)
    rows, count = unpacked(labels, symbols), lengths(labels, symbols)
    spans = torch.full_like(count, len(frames))
    return F.ctc_loss(frames, rows.clamp(min=0), spans, count, blank=symbols, reduction="none")


def transcriber(model: DefendedModel) -> Transcriber:
    """``model``, if it transcribes.

    Raises
    ------
    InvalidInput: it does not.
    """
    if not isinstance(model, Transcriber):
        raise InvalidInput(f"CTC needs a model that transcribes: make {type(model).__name__} a Transcriber")
    return model
