"""A classifier behind the detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from advplug.model import Decision, DefendedModel
from advplug_defense_odds._detector import THRESHOLD, Alignments
from advplug_defense_odds._noise import Noise


class OddsModel(DefendedModel):
    """``classifier``, unchanged, and a detector that rejects what drifts under noise as no clean image does.

    The noise is drawn afresh for every input, from torch's global generator.

    Parameters
    ----------
    classifier: gives logits (N, K) for inputs in [0, 1].
    noises: kinds of noise.
    draws: noisy copies of each input for every kind.
    """

    stochastic = True

    def __init__(self, classifier: DefendedModel, noises: Sequence[Noise], draws: int) -> None:
        super().__init__(classifier.num_classes, classifier.bounds)
        self.classifier = classifier
        self.detector = Alignments(noises, draws, classifier.num_classes)

    @property
    def thresholds(self) -> Tensor:
        """What a score must not exceed, (1,)."""
        return torch.full((1,), THRESHOLD, device=self.detector.mean.device)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of the classifier for ``x`` (N, ...) in [0, 1]; nothing is random here."""
        return cast(Tensor, self.classifier(x))

    def decide(self, x: Tensor) -> Decision:
        """The classifier's answer to ``x`` (N, ...), rejected where the score exceeds the threshold."""
        with torch.no_grad():
            labels, scores = self._judge(x)
        return Decision(labels, scores <= THRESHOLD)

    def detector_scores(self, x: Tensor) -> Tensor:
        """The largest z-score of each of ``x`` (N, ...), (N,), under fresh noise; differentiable."""
        return self._judge(x)[1]

    def _judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, alignments = self.detector(self.classifier, x)
        labels = logits.argmax(1)
        return labels, self.detector.scores(labels, alignments)
