"""Models from ART's classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
from art.estimators.classification import EnsembleClassifier, PyTorchClassifier
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator
from art.preprocessing.expectation_over_transformation.pytorch import EoTPyTorch

from advplug.errors import InvalidInput
from advplug.interop.art.answers import Bounds, EnsembleModel, answering_model
from advplug.interop.art.models import ArtBackedModel
from advplug.model import DefendedModel

_BEHIND_PREDICT = ("predict", "_apply_preprocessing", "_apply_postprocessing")


def from_art_classifier(
    classifier: Any, *, bounds: Bounds | None = None, stochastic: bool | None = None
) -> DefendedModel:
    """An ART classifier with all that it does to inputs and scores; ours comes back as it was.

    A PyTorchClassifier, and an EnsembleClassifier of such, has gradients. Of any other classifier, or one that answers
    otherwise than its network, attacks get what its ``predict`` answers, and no gradient: attacks on scores work. The
    last class of a DetectorClassifier, and zeros from a smoothed classifier, are rejections.

    Parameters
    ----------
    bounds: range of valid inputs, if the classifier has no ``clip_values``, or different ones for different features.
    stochastic: whether its preprocessing or network draws random numbers; None for what the module inside says,
        True under randomised smoothing and transformations that draw, and False for others.

    Raises
    ------
    InvalidInput: no classifier of ART, or no bounds.
    """
    if not isinstance(classifier, BaseEstimator) or not isinstance(classifier, ClassifierMixin):
        raise InvalidInput(
            f"the classifier is a {type(classifier).__name__}: pass one of ART, such as PyTorchClassifier"
        )
    bounds = _range(classifier, bounds)
    if type(classifier) is EnsembleClassifier and all(map(_answers_by_network, classifier.classifiers)):
        members = [from_art_classifier(member, bounds=bounds) for member in classifier.classifiers]
        if any(member.rejects for member in members):
            raise InvalidInput("EnsembleClassifier averages scores, and a model in it rejects inputs: attack it alone")
        random = any(member.stochastic for member in members) if stochastic is None else stochastic
        return EnsembleModel(classifier, members, bounds, random)
    if not _answers_by_network(classifier):
        return answering_model(classifier, bounds, stochastic)
    model = classifier.model
    changed = _changes_inputs(classifier) or classifier.postprocessing_defences
    if isinstance(model, DefendedModel) and not changed and tuple(model.bounds) == bounds:
        return model
    if stochastic is None and any(isinstance(step, EoTPyTorch) for step in classifier.preprocessing_operations):
        stochastic = True
    return ArtBackedModel(classifier, bounds, stochastic)


def limits_of(classifier: Any) -> tuple[Any, Any] | None:
    """The classifier's clip values as two arrays, if they differ between features."""
    if classifier.clip_values is None:
        return None
    low, high = map(np.asarray, classifier.clip_values)
    return None if len(np.unique(low)) == len(np.unique(high)) == 1 else (low, high)


def _range(classifier: Any, bounds: Bounds | None) -> Bounds:
    """The range of all inputs."""
    if classifier.clip_values is None:
        if bounds is None:
            raise InvalidInput("the classifier has no clip_values: give it some, or pass bounds")
        return bounds
    low, high = classifier.clip_values
    if limits_of(classifier) is not None and bounds is None:
        raise InvalidInput(
            "clip_values differ between features: pass their range as bounds, and themselves as ThreatModel(bounds=...)"
        )
    return float(np.min(low)), float(np.max(high))


def _answers_by_network(classifier: Any) -> bool:
    """Whether ``predict`` is the forward pass of a torch network between preprocessing and postprocessing."""
    if not isinstance(classifier, PyTorchClassifier) or "predict" in vars(classifier):
        return False
    return all(getattr(type(classifier), name) is getattr(PyTorchClassifier, name) for name in _BEHIND_PREDICT)


def _changes_inputs(classifier: PyTorchClassifier) -> bool:
    """Whether any preprocessing does something; ART adds a standardisation by 0 and 1 to every classifier."""
    return any(
        np.any(getattr(step, "mean", 1) != 0) or np.any(getattr(step, "std", 0) != 1)
        for step in classifier.preprocessing_operations
    )
