"""Any model, and a detector that compares its answers to an image and to squeezed copies of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from advplug_defense_input_transformations import InputTransformed, Transformation
from torch import Tensor, nn

from advplug.errors import InvalidInput
from advplug.losses import LEAST_PROBABILITY
from advplug.model import Decision, DefendedModel


class Threshold(nn.Module):
    """``tau``, scalar: what no score of an accepted image exceeds. All that calibration finds, and all that ships."""

    tau: Tensor

    def __init__(self, tau: float) -> None:
        super().__init__()
        self.register_buffer("tau", torch.tensor(float(tau)))


class FeatureSqueezing(DefendedModel):
    """``model``, which rejects an image where the answer to a squeezed copy differs (Xu et al. 2018, section 5).

    ``FeatureSqueezing(model, [BitDepth(1), Median(2)], 0.1)`` accepts x if ``||p(x) - p(s(x))||_1`` is at most 0.1 for
    both squeezers s, where p are probabilities. The answer to an accepted image is that of ``model``.

    Parameters
    ----------
    model: classifies images (N, C, H, W) of any bounds; the squeezers see them scaled to [0, 1].
    squeezers: transformations of the plugin ``input-transformations``, each of which makes one copy.
    threshold: the largest distance that is accepted, in [0, 2]; infinite until :func:`calibrate` sets it.

    Raises
    ------
    InvalidInput: no squeezer, a random one, a model of another kind or one that rejects, or a negative threshold.
    """

    def __init__(self, model: DefendedModel, squeezers: Sequence[Transformation], threshold: float = math.inf) -> None:
        if not squeezers:
            raise InvalidInput("squeezers is empty: give at least one, such as Median(2)")
        if any(one.random for one in squeezers if isinstance(one, Transformation)):
            raise InvalidInput(f"squeezers are {squeezers}: a random one would flag the same image now and then")
        if not threshold >= 0:
            raise InvalidInput(f"threshold is {threshold}: give a distance of probabilities, 0 to 2")
        copies = tuple(InputTransformed(model, one) for one in squeezers)  # refuses what is no model
        super().__init__(model.num_classes, model.bounds)
        self.classifier = model
        self.copies = copies  # a tuple, so that weights are counted and saved once
        self.detector = Threshold(threshold)
        self.stochastic, self.batch_dependent = model.stochastic, model.batch_dependent

    @property
    def thresholds(self) -> Tensor:
        """What the score of each squeezer must not exceed, (S,): the same for all."""
        return self.detector.tau.repeat(len(self.copies))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of the model for ``x`` (N, C, H, W); logarithms of what it gives as probabilities."""
        scores: Tensor = self.classifier(x)
        return scores if self.classifier.outputs == "logits" else scores.clamp(min=LEAST_PROBABILITY).log()

    def decide(self, x: Tensor) -> Decision:
        """The model's answer to ``x`` (N, C, H, W), rejected where the largest score exceeds the threshold."""
        with torch.no_grad():
            logits = self(x)
            scores = distances(logits, self.squeezed(x.detach()))
        return Decision(logits.argmax(1), scores.amax(1) <= self.detector.tau)

    def detector_scores(self, x: Tensor) -> Tensor:
        """``||p(x) - p(s(x))||_1`` of ``x`` (N, C, H, W) for each squeezer s, (N, S), in [0, 2]."""
        return distances(self(x), self.squeezed(x))

    def squeezed(self, x: Tensor) -> Tensor:
        """Logits (S, N, K) of the squeezed copies of ``x`` (N, C, H, W).

        Where ``x`` wants a gradient, a squeezer that has no useful one is passed by its stand-in (BPDA).
        """
        return torch.stack([copy.surrogate(x) if x.requires_grad else copy(x) for copy in self.copies])


def distances(logits: Tensor, squeezed: Tensor) -> Tensor:
    """L1 distances (N, S) between the probabilities behind ``logits`` (N, K) and behind ``squeezed`` (S, N, K)."""
    return (logits.softmax(1) - squeezed.softmax(2)).abs().sum(2).T
