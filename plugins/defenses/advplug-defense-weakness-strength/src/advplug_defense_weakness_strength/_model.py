"""A classifier behind the detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from advplug.model import Decision, DefendedModel
from advplug_defense_weakness_strength._detector import Descent, instability


class Thresholds(nn.Module):
    """What each score of the detector must not exceed, as shipped: ``values`` (S,)."""

    values: Tensor

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("values", torch.tensor(values, dtype=torch.float32))


class WeaknessStrength(DefendedModel):
    """``classifier``, unchanged, and a detector that rejects an input if any of its scores exceeds its threshold.

    The first score is the change of the softmax under noise, the others count steps of gradient descent to another
    class. A clean image, so the authors, is stable under noise and yet near a boundary; an adversarial one is not both.
    Noise and target classes are drawn afresh for every input from torch's global generator.

    Parameters
    ----------
    classifier: gives logits (N, K) for inputs in [0, 1].
    sigma: standard deviation of the noise.
    descents: how steps are counted, one score each.
    thresholds: one for each score, noise first; unless given, nothing is rejected.
    """

    stochastic = True

    def __init__(
        self,
        classifier: DefendedModel,
        sigma: float,
        descents: Sequence[Descent],
        thresholds: Sequence[float] | None = None,
    ) -> None:
        super().__init__(classifier.num_classes, classifier.bounds)
        self.classifier = classifier
        self.sigma = sigma
        self.descents = tuple(descents)
        self.detector = Thresholds(thresholds or [torch.inf] * (1 + len(self.descents)))

    @property
    def thresholds(self) -> Tensor:
        """What a score must not exceed, (S,)."""
        return self.detector.values

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of the classifier for ``x`` (N, ...) in [0, 1]; nothing is random here."""
        return cast(Tensor, self.classifier(x))

    def decide(self, x: Tensor) -> Decision:
        """The classifier's answer to ``x`` (N, ...), rejected where a score exceeds its threshold."""
        with torch.no_grad():
            labels = self.classifier(x).argmax(1)
        return Decision(labels, (self.detector_scores(x) <= self.thresholds).all(1))

    def detector_scores(self, x: Tensor) -> Tensor:
        """Change under noise, then steps to another class for each descent; float (N, S) for ``x`` (N, ...)."""
        scores = [instability(self.classifier, x, self.sigma)]
        scores += [descent(self.classifier, x) for descent in self.descents]
        return torch.stack(scores, 1)
