"""The two deployed classifiers: integrated, with a classifier before the detectors, and generative, without."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, cast

import torch
from torch import Tensor

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.model import Decision, DefendedModel
from advplug_defense_aat._detectors import Detectors

BATCH = 250


class OneClassModel(DefendedModel):
    """Answers with a class, and rejects where the detector of that class scores at most tau.

    Parameters
    ----------
    detectors: one for each class.
    bounds: range of valid input values.
    """

    place: ClassVar[int]
    """Which of ``detectors.taus`` is the threshold."""

    def __init__(self, detectors: Detectors, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__(detectors.classes, bounds)
        self.detectors = detectors

    @property
    def thresholds(self) -> Tensor:
        """What a detector score must stay below, (1,): the negative of tau."""
        return -self.detectors.taus[self.place : self.place + 1]

    def decide(self, x: Tensor) -> Decision:
        """The class of ``x`` (N, C, H, W), rejected where the score of its detector is at most tau."""
        with torch.no_grad():
            logits, scores = self.judged(x)
        return Decision(logits.argmax(1), -scores < self.thresholds)

    def detector_scores(self, x: Tensor) -> Tensor:
        """The negative score (N,) that the detector of the answer gives to ``x`` (N, C, H, W); differentiable."""
        return -self.judged(x)[1]

    def features(self, x: Tensor) -> Tensor:
        """The scores (N, K) that all detectors give to ``x`` (N, C, H, W)."""
        return cast(Tensor, self.detectors(x))

    @abstractmethod
    def judged(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K), and the score (N,) of the detector of the largest one, for ``x`` (N, C, H, W)."""


class Integrated(OneClassModel):
    """A classifier answers, and the detector of its answer accepts or rejects.

    Parameters
    ----------
    classifier: gives logits (N, K).
    detectors: one for each of its classes.
    """

    place = 0

    def __init__(self, classifier: DefendedModel, detectors: Detectors) -> None:
        super().__init__(detectors, classifier.bounds)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of the classifier for ``x`` (N, C, H, W)."""
        return cast(Tensor, self.classifier(x))

    def judged(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = self(x)
        return logits, self.features(x).gather(1, logits.argmax(1, keepdim=True)).squeeze(1)


class Generative(OneClassModel):
    """The detector with the largest score names the class; its score accepts or rejects."""

    place = 1

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, K) of all detectors for ``x`` (N, C, H, W)."""
        return self.features(x)

    def judged(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(x)
        return scores, scores.amax(1)


def threshold(scores: Tensor, right: Tensor, share: float) -> Tensor:
    """The largest tau, scalar, at which rejecting costs at most ``share`` of accuracy.

    The authors look for it on a grid. ``scores`` (N,) belong to clean images, ``right`` bool (N,) says which of them
    the classifier gets right. What scores at most tau is rejected.

    Raises
    ------
    InvalidInput: so few right answers that all of them may be rejected.
    """
    lost = int(share * len(scores))
    kept = scores[right].sort().values
    if lost >= len(kept):
        raise InvalidInput(f"{len(kept)} of {len(scores)} clean images are classified right: too few for a threshold")
    # All below the next one may be accepted or rejected: it costs the same.
    return kept[lost].nextafter(kept.new_tensor(-torch.inf))


@torch.no_grad()
def calibrate(model: OneClassModel, clean: Images, share: float) -> None:
    """Set the :func:`threshold` of ``model``: rejecting costs at most ``share`` of the accuracy on ``clean``."""
    parts = [(*model.judged(x), y) for x, y in clean.batches(BATCH)]
    logits, scores, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    model.detectors.taus[model.place] = threshold(scores, logits.argmax(1) == labels, share)
