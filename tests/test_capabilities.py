"""What a model offers is found by its names: a detector with thresholds, with scores alone, or none at all."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.model import Decision, DefendedModel


class Scored(DefendedModel):
    """Class by the mean of two pixels; the scores are their distance and their size, and none of them decides."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1)
        return torch.stack((0.5 - mean, mean - 0.5), 1)

    def detector_scores(self, x: Tensor) -> Tensor:
        return torch.stack(((x[:, 0] - x[:, 1]).abs(), x.amax(1)), 1)


class Thresholded(Scored):
    """The same, whose thresholds anyone may read and set."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("limits", torch.tensor([0.25, 0.75]))

    @property
    def thresholds(self) -> Tensor:
        return self.limits

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), (self.detector_scores(x) <= self.thresholds).all(1))


class Limited(DefendedModel):
    """Thresholds of something, but no scores that they could belong to."""

    thresholds = torch.tensor([0.5])


def test_a_detector_is_one_with_thresholds_only_if_it_names_them() -> None:
    models = {"plain": DefendedModel(2), "limits": Limited(2), "scores": Scored(), "both": Thresholded()}
    offers = {name: model.capabilities for name, model in models.items()}
    assert {name for name, offer in offers.items() if offer.detector_scores is not None} == {"scores", "both"}
    assert {name for name, offer in offers.items() if offer.thresholds is not None} == {"limits", "both"}


def test_each_score_has_the_threshold_that_it_must_not_exceed() -> None:
    model: DefendedModel = Thresholded()
    x = torch.tensor([[0.5, 0.5], [0.1, 0.5], [0.7, 0.8], [0.2, 0.9]])
    scores, thresholds = model.capabilities.detector_scores, model.capabilities.thresholds
    assert scores is not None
    assert thresholds is not None
    over = scores(x) > thresholds
    assert over.tolist() == [[False, False], [True, False], [False, True], [True, True]]
    assert torch.equal(model.decide(x).accepted, ~over.any(1))
    thresholds.copy_(torch.tensor([0.5, 0.85]))  # the operator moves them, and the decisions follow
    assert model.decide(x).accepted.tolist() == [True, True, True, False]
