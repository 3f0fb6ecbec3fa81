"""A transcribing model behind the detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from advplug.model import Decision
from advplug.transcription import Transcriber
from advplug_defense_temporal_dependency._distance import character_error_rates


class TemporalDependency(Transcriber):
    """``recogniser``, unchanged, and a detector that compares what it makes of the beginning with the whole.

    The beginning of a sound, transcribed by itself, should read like the beginning of the transcription. Of adversarial
    sound, so the authors, it does not, because the perturbation was made for the whole. A sound is rejected where one
    of the character error rates exceeds its threshold.

    Parameters
    ----------
    recogniser: transcribes sound (N, T) of any length.
    shares: of the sound, each of them a beginning to look at.
    threshold: of every rate; unless given, nothing is rejected.
    """

    def __init__(self, recogniser: Transcriber, shares: Sequence[float], threshold: float = 1.0) -> None:
        super().__init__(recogniser.symbols, recogniser.bounds)
        self.recogniser, self.shares = recogniser, tuple(shares)
        self.detector = Threshold(threshold)

    @property
    def thresholds(self) -> Tensor:
        """What a rate must not exceed, (S,)."""
        return self.detector.value.repeat(len(self.shares))

    def forward(self, x: Tensor) -> Tensor:
        """What the recogniser says of each frame of ``x`` (N, T)."""
        return cast(Tensor, self.recogniser(x))

    def decide(self, x: Tensor) -> Decision:
        """The transcription of ``x`` (N, T), rejected where a beginning reads otherwise."""
        labels = self.answers(self(x))
        return Decision(labels, (self._rates(x, labels) <= self.thresholds).all(1))

    def detector_scores(self, x: Tensor) -> Tensor:
        """The character error rate of each beginning against the whole, (N, S), for ``x`` (N, T)."""
        return self._rates(x, self.answers(self(x)))

    def beginnings(self, x: Tensor) -> list[Tensor]:
        """What the recogniser says of each frame of each beginning of ``x`` (N, T), in the order of ``shares``."""
        return [self(x[:, : int(share * x.shape[1])]) for share in self.shares]

    def _rates(self, x: Tensor, labels: Tensor) -> Tensor:
        parts = [self.answers(scores) for scores in self.beginnings(x)]
        return torch.stack([character_error_rates(labels, part, len(self.symbols)) for part in parts], 1)


class Threshold(nn.Module):
    """What no rate must exceed, as shipped: ``value`` ()."""

    value: Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(value))
