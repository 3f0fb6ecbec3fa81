"""The threshold: what few clean images exceed."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug_defense_feature_squeezing._model import FeatureSqueezing

RATE = 0.05
"""Share of clean images that the authors let a threshold reject."""

BATCH = 250


def threshold(scores: Tensor, rate: float = RATE) -> Tensor:
    """The score that at most the share ``rate`` of ``scores`` (N,) exceed: in ascending order, number N (1 - rate).

    Rounded up, as in the authors' code. Images that the model gets wrong count as well.

    Raises
    ------
    InvalidInput: no scores, or a rate outside of [0, 1).
    """
    if not 0 <= rate < 1 or not len(scores):
        raise InvalidInput(f"rate is {rate} of {len(scores)} clean images: give 0 to below 1, of at least one image")
    return scores.sort().values[len(scores) - int(rate * len(scores)) - 1]


@torch.no_grad()
def largest_scores(model: FeatureSqueezing, clean: Images) -> Tensor:
    """The score of the most offended squeezer for each image, (N,)."""
    parts = [model.detector_scores(x).amax(1) for x, _ in clean.batches(BATCH)]
    return torch.cat(parts)


def calibrate(model: FeatureSqueezing, clean: Images, rate: float = RATE) -> None:
    """Set the threshold of ``model`` so that it rejects at most the share ``rate`` of ``clean``."""
    model.detector.tau.copy_(threshold(largest_scores(model, clean), rate))
