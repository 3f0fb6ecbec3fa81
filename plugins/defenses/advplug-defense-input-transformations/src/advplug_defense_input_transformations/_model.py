"""A model behind transformations of its input."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.losses import LEAST_PROBABILITY
from advplug.model import DefendedModel
from advplug_defense_input_transformations._transformation import Transformation


class InputTransformed(DefendedModel):
    """``model`` on inputs that pass through ``transformations``, one after the other.

    ``InputTransformed(model, JPEG(75), ResizePad(26))`` codes an image as JPEG, then puts it in a random place.
    Draws come from torch's global generator, anew in each pass and for each input.

    Parameters
    ----------
    model: classifies images (N, C, H, W) of any bounds; the transformations see them scaled to [0, 1].
    transformations: what happens to an image, first to last.
    draws: answers to one input; more than one are averaged as probabilities, and the scores are logarithms of the mean.

    Raises
    ------
    InvalidInput: no transformation, a model of another kind, or several draws of what is not random.
    """

    def __init__(self, model: DefendedModel, *transformations: Transformation, draws: int = 1) -> None:
        if not isinstance(model, DefendedModel):
            raise InvalidInput(
                f"{type(model).__name__} is no DefendedModel: give PlainModel(model, num_classes, bounds)"
            )
        if model.rejects:
            raise InvalidInput(f"{type(model).__name__} rejects inputs: put the detector around the transformations")
        if not transformations or not all(isinstance(one, Transformation) for one in transformations):
            raise InvalidInput(f"transformations are {transformations}: give at least one, such as JPEG(75)")
        super().__init__(model.num_classes, model.bounds)
        self.classifier = model
        self.transformations = transformations
        self.draws = draws
        self.stochastic = model.stochastic or any(one.random for one in transformations)
        self.batch_dependent = model.batch_dependent
        if draws < 1 or (draws > 1 and not self.stochastic):
            raise InvalidInput(f"draws is {draws}: give 1, or more where a transformation is random")

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of transformed ``x`` (N, C, H, W)."""
        return self._answer(self.transformed(self._repeated(x)))

    def surrogate(self, x: Tensor) -> Tensor:
        """The same scores (N, K) under draws of their own; a step that hides the gradient is passed by its stand-in."""
        return self._answer(self._through(self._repeated(x), None, stand_in=True))

    def sample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Logits (N, K) of one draw for each image, from ``generator`` on the CPU."""
        return self._scores(self.transformed(x, generator))

    def transformed(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the classifier sees of ``x`` (N, C, H, W)."""
        return self._through(x, generator, stand_in=False)

    def _through(self, x: Tensor, generator: torch.Generator | None, *, stand_in: bool) -> Tensor:
        low, high = self.bounds
        x = (x - low) / (high - low)
        for one in self.transformations:
            x = one.surrogate(x, generator) if stand_in else one(x, generator)
        return low + (high - low) * x

    def _repeated(self, x: Tensor) -> Tensor:
        return x if self.draws == 1 else x.repeat(self.draws, *[1] * (x.ndim - 1))

    def _answer(self, x: Tensor) -> Tensor:
        scores = self._scores(x)
        if self.draws == 1:
            return scores
        each = scores.unflatten(0, (self.draws, -1)).log_softmax(2)
        mean: Tensor = each.logsumexp(0) - math.log(self.draws)
        return mean

    def _scores(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(x)
        return scores if self.classifier.outputs == "logits" else scores.clamp(min=LEAST_PROBABILITY).log()
