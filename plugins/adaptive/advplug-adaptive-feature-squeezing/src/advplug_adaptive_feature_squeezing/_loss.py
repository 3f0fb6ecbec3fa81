"""The loss that the detector's test is part of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import eagerpy as ep
import torch
from advplug_defense_feature_squeezing import FeatureSqueezing, distances

from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, NonNegative, check_hyperparameters
from advplug.losses import Loss, Margin, View
from advplug.numerics import raw, wrap


@dataclass(frozen=True)
class SqueezedMargin(Loss):
    """``mean_j m_j + weight * sum_k max(0, ||p(x) - p(s_k(x))||_1 - tau)``.

    m_j are the margins of the image and of all its squeezed copies s_k(x), each of which goes flat at ``-confidence``.
    The distances alone have no gradient where the image and a copy are sure of different classes; the margins of the
    copies then have one.

    Parameters
    ----------
    confidence: margin at which an answer is sure enough. At 4 the softmax leaves 2 % to the other classes or little
        more, so that the distances are small.
    weight: of the distances above the threshold.
    squeezers: how many the model has, S; each costs one more forward pass.

    Raises
    ------
    InvalidInput: a negative setting; a model that is no :class:`FeatureSqueezing`.
    """

    confidence: NonNegative = 4.0
    weight: NonNegative = 1.0
    squeezers: Count = 2

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    @property
    def extra_passes(self) -> int:
        return self.squeezers

    def __call__(self, view: View) -> ep.Tensor:
        model = view.model
        if not isinstance(model, FeatureSqueezing):
            raise InvalidInput(f"SqueezedMargin is for FeatureSqueezing, the model is a {type(model).__name__}")
        logits, squeezed = raw(view.logits), model.squeezed(raw(view.x))
        margin = Margin(self.confidence)
        margins = [raw(margin(replace(view, logits=wrap(answer)))) for answer in (logits, *squeezed)]
        excess = (distances(logits, squeezed) - model.thresholds).clamp(min=0).sum(1)
        return wrap(torch.stack(margins).mean(0) + self.weight * excess)
