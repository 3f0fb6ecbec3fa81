"""ART's evasion detectors from our models, and the other way round."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from art.defences.detector.evasion import EvasionDetector
from torch import Tensor

from advplug.engine.frozen import device_of
from advplug.engine.gateway import inside
from advplug.errors import InvalidInput
from advplug.interop.arrays import tensor_of
from advplug.interop.inner import declare_like
from advplug.model import Capabilities, Decision, DefendedModel

_ROWS = 128


class AdvplugDetector(EvasionDetector):  # type: ignore[misc]
    """What a defended model rejects, as an ART detector; built by :func:`as_art_detector`."""

    def __init__(self, model: DefendedModel) -> None:
        super().__init__()
        self.model = model

    def fit(self, x: Any, y: Any, batch_size: int = _ROWS, nb_epochs: int = 20, **kwargs: Any) -> None:
        """Refused: the defense comes fitted."""
        raise NotImplementedError("the defense comes fitted: train it with advplug")

    @torch.no_grad()
    def detect(self, x: Any, batch_size: int = _ROWS, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        """``({"predictions": int64 (N,)}, is_adversarial)`` for ``x`` (N, ...); ``is_adversarial`` bool (N,).

        A ``stochastic`` model decides on fresh draws in every call, from torch's global generator.
        """
        inputs = inside(self.model, tensor_of("x", x).to(device_of(self.model)))
        decisions = [self.model.decide(chunk) for chunk in inputs.split(batch_size)]
        labels = torch.cat([decision.labels for decision in decisions]).cpu().numpy()
        return {"predictions": labels}, ~torch.cat([decision.accepted for decision in decisions]).cpu().numpy()


def as_art_detector(model: DefendedModel) -> AdvplugDetector:
    """The detector of a defended model that rejects, for ART.

    Raises
    ------
    InvalidInput: the model accepts everything.
    """
    if not model.rejects:
        raise InvalidInput(f"{type(model).__name__} accepts every input: it has no detector")
    return AdvplugDetector(model)


class DetectedModel(DefendedModel):
    """A model behind an ART detector: an input is accepted if both the model and the detector accept it."""

    def __init__(self, model: DefendedModel, detector: EvasionDetector, stochastic: bool) -> None:
        super().__init__(model.num_classes, model.bounds)
        self.model = model
        self.detector = detector
        declare_like(self, model)
        self.stochastic = stochastic

    @property
    def capabilities(self) -> Capabilities:
        """What the model offers beyond scores; the detector offers nothing."""
        return self.model.capabilities

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.model(x))

    def decide(self, x: Tensor) -> Decision:
        decision = self.model.decide(x)
        _, adversarial = self.detector.detect(x.detach().cpu().numpy())
        flagged = torch.as_tensor(np.asarray(adversarial, dtype=bool).reshape(-1), device=x.device)
        return Decision(decision.labels, decision.accepted & ~flagged)


def from_art_detector(
    model: DefendedModel, detector: EvasionDetector, *, stochastic: bool | None = None
) -> DefendedModel:
    """``model`` with the decisions of an ART ``detector``. ART's detectors give no gradient: attacks see scores alone.

    Parameters
    ----------
    stochastic: whether model or detector draws random numbers; None for what the model says, and the detector if it
        comes from :func:`as_art_detector`.

    Raises
    ------
    InvalidInput: not an ART evasion detector.
    """
    if not isinstance(detector, EvasionDetector):
        raise InvalidInput(f"the detector is a {type(detector).__name__}: pass an ART EvasionDetector")
    if stochastic is None:
        stochastic = model.stochastic or (isinstance(detector, AdvplugDetector) and detector.model.stochastic)
    return DetectedModel(model, detector, stochastic)
