"""ART estimators whose ``predict`` is more than a network's forward pass, as models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from art.estimators.certification.randomized_smoothing.randomized_smoothing import RandomizedSmoothingMixin
from art.estimators.classification import PyTorchClassifier
from art.estimators.classification.detector_classifier import DetectorClassifier
from art.estimators.classification.scikitlearn import ScikitlearnClassifier
from torch import Tensor, nn

from advplug.engine.frozen import device_of
from advplug.errors import InvalidInput
from advplug.interop.arrays import tensor_of
from advplug.interop.art.models import ArtBackedModel, postprocessed
from advplug.model import Capabilities, Decision, DefendedModel

Bounds = tuple[float, float]


class AnsweringModel(DefendedModel):
    """What an ART estimator's ``predict`` answers: scores without a gradient.

    The networks inside are parts of the model, so that the engine keeps their mode and weights as they are.
    """

    def __init__(self, estimator: Any, bounds: Bounds, stochastic: bool) -> None:
        super().__init__(int(estimator.nb_classes), bounds)
        self.estimator = estimator
        self.networks = nn.ModuleList(_networks(estimator))
        self.stochastic = stochastic

    def forward(self, x: Tensor) -> Tensor:
        return self._answers(x)

    def _answers(self, x: Tensor) -> Tensor:
        scores = np.asarray(self.estimator.predict(x.detach().cpu().numpy()))
        wanted = (len(x), int(self.estimator.nb_classes))
        if scores.shape != wanted:
            name = type(self.estimator).__name__
            raise InvalidInput(f"{name}.predict returned shape {scores.shape}, not {wanted}: give each class a score")
        return tensor_of("the answer of predict", scores).to(x)


class ProbabilityModel(AnsweringModel):
    """The same where the answers are probabilities."""

    outputs = "probabilities"


class AbstainingModel(AnsweringModel):
    """A smoothed classifier: it votes on noisy copies, and rejects by answering zeros where the vote is too close."""

    def decide(self, x: Tensor) -> Decision:
        scores = self._answers(x)
        return Decision(scores.argmax(1), scores.any(1))


class SmoothedNetwork(AbstainingModel):
    """The same around a torch network, which stands in for the votes where BPDA asks for a gradient."""

    def __init__(self, estimator: Any, bounds: Bounds, stochastic: bool) -> None:
        super().__init__(estimator, bounds, stochastic)
        self.voter = ArtBackedModel(estimator, bounds, stochastic=False)

    def surrogate(self, x: Tensor) -> Tensor:
        """Scores (n, K) of the network for one noisy copy of each input; EOT averages the gradients of several."""
        scores = self.voter.capabilities.surrogate or self.voter
        return cast(Tensor, scores(x + self.estimator.scale * torch.randn_like(x)))


class DetectingModel(AnsweringModel):
    """A DetectorClassifier, the last of whose classes says that the input is rejected."""

    def __init__(self, estimator: Any, bounds: Bounds, stochastic: bool) -> None:
        super().__init__(estimator, bounds, stochastic)
        self.num_classes -= 1

    @property
    def thresholds(self) -> Tensor:
        """Where the detector's class wins, (1,)."""
        return torch.zeros(1, device=device_of(self))

    def forward(self, x: Tensor) -> Tensor:
        return self._answers(x)[:, :-1]

    def decide(self, x: Tensor) -> Decision:
        scores = self._answers(x)
        return Decision(scores[:, :-1].argmax(1), scores.argmax(1) < self.num_classes)

    def detector_scores(self, x: Tensor) -> Tensor:
        """How far the detector's class is ahead of all others, (N,)."""
        scores = self._answers(x)
        return scores[:, -1] - scores[:, :-1].amax(1)


class EnsembleModel(DefendedModel):
    """An EnsembleClassifier of classifiers that answer by their networks, whose gradients it adds up."""

    def __init__(self, estimator: Any, members: list[DefendedModel], bounds: Bounds, stochastic: bool) -> None:
        super().__init__(int(estimator.nb_classes), bounds)
        self.estimator = estimator
        self.members = nn.ModuleList(members)
        self.stochastic = stochastic

    def forward(self, x: Tensor) -> Tensor:
        return postprocessed(self.estimator, self._sum(list(self.members), x))

    @property
    def capabilities(self) -> Capabilities:
        """A surrogate, the sum of those of the members, if one of them has one."""
        members = cast("list[DefendedModel]", list(self.members))
        stand_ins = [member.capabilities.surrogate for member in members]
        if not any(stand_ins):
            return Capabilities()
        functions = [stand_in or member for stand_in, member in zip(stand_ins, members, strict=True)]
        return Capabilities(surrogate=partial(self._sum, functions))

    def _sum(self, functions: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
        weights = torch.as_tensor(self.estimator.classifier_weights).to(x)
        return cast(Tensor, sum(weight * function(x) for weight, function in zip(weights, functions, strict=True)))


def answering_model(estimator: Any, bounds: Bounds, stochastic: bool | None) -> DefendedModel:
    """The model of what ``estimator`` answers; ``stochastic`` None for whether it is a smoothed classifier.

    Raises
    ------
    InvalidInput: the estimator does not tell how many classes it has, or a model inside rejects inputs.
    """
    name = type(estimator).__name__
    if getattr(estimator, "nb_classes", None) is None or int(estimator.nb_classes) < 2:
        raise InvalidInput(f"{name} names no classes: fit it first")
    if any(isinstance(network, DefendedModel) and network.rejects for network in _networks(estimator)):
        raise InvalidInput(f"{name} answers for a model that rejects inputs, and knows no decisions: attack that model")
    smoothed = isinstance(estimator, RandomizedSmoothingMixin)
    kind = AnsweringModel
    if smoothed:
        kind = SmoothedNetwork if isinstance(estimator, PyTorchClassifier) else AbstainingModel
    elif isinstance(estimator, DetectorClassifier):
        kind = DetectingModel
    elif isinstance(estimator, ScikitlearnClassifier) and not estimator.use_logits:
        kind = ProbabilityModel
    return kind(estimator, bounds, smoothed if stochastic is None else stochastic)


def _networks(estimator: Any) -> Iterator[nn.Module]:
    """The networks of an estimator and of those inside it."""
    model = getattr(estimator, "model", None)
    if isinstance(model, nn.Module):
        yield model
    for name in ("classifier", "detector", "_classifier"):
        inner = getattr(estimator, name, None)
        if inner is not None:
            yield from _networks(inner)
    for inner in getattr(estimator, "classifiers", ()):
        yield from _networks(inner)
