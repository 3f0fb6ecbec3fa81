"""Foolbox models from ours, and ours from Foolbox's."""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from foolbox.models import wrappers
from foolbox.models.base import Model, TransformBoundsWrapper
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from advplug.engine.frozen import device_of
from advplug.errors import InvalidInput
from advplug.model import Decision, DefendedModel

_AVERAGING = getattr(wrappers, "ExpectationOverTransformationWrapper", ())  # from Foolbox 3.3.3 on


class FoolboxModel(PyTorchModel):
    """A defended model in Foolbox's clothes; ``defended`` is the original."""

    def __init__(self, defended: DefendedModel, device: torch.device) -> None:
        super().__init__(defended, bounds=defended.bounds, device=device)
        self.defended = defended


def as_foolbox_model(model: DefendedModel, device: torch.device | str | None = None) -> FoolboxModel:
    """``model`` as a Foolbox model with its bounds, on ``device`` (default: where it is).

    Foolbox sees scores alone: that the defense rejects an input (:meth:`DefendedModel.decide`) is invisible to it, so
    it counts rejected inputs as successes. Our own attacks, called with this model, do respect it. A ``stochastic``
    model draws anew in every pass, from torch's global generator, which nothing seeds or restores: Foolbox's
    ``success`` is that of one draw. Foolbox's own attacks leave weight gradients in ``.grad`` of the model.
    """
    if device is None:
        device = device_of(model) or torch.device("cpu")
    return FoolboxModel(model, torch.device(device))


class FoolboxBackedModel(DefendedModel):
    """A Foolbox model with its preprocessing, as a model without a defense."""

    def __init__(self, fmodel: Any, num_classes: int, stochastic: bool) -> None:
        super().__init__(num_classes, tuple(fmodel.bounds))
        self.fmodel = fmodel
        self.network = _torch_module(fmodel)  # known as a part, so that the engine can freeze and restore it
        self.stochastic = stochastic

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fmodel(x))


class RescaledModel(DefendedModel):
    """A defended model, with all it rejects, for inputs in other ``bounds`` than its own."""

    def __init__(self, defended: DefendedModel, bounds: tuple[float, float]) -> None:
        super().__init__(defended.num_classes, bounds)
        self.defended = defended
        self.stochastic = defended.stochastic

    @property
    def rejects(self) -> bool:
        return self.defended.rejects

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.defended(self._rescaled(x)))

    def decide(self, x: Tensor) -> Decision:
        return self.defended.decide(self._rescaled(x))

    def _rescaled(self, x: Tensor) -> Tensor:
        (low, high), (start, end) = self.bounds, self.defended.bounds
        return start + (x - low) * ((end - start) / (high - low))


def from_foolbox_model(fmodel: Any, *, num_classes: int | None = None, stochastic: bool | None = None) -> DefendedModel:
    """Any Foolbox model on PyTorch, with its bounds and preprocessing; ours comes back as it was, or for other bounds.

    Parameters
    ----------
    num_classes: number of classes K; a Foolbox model does not tell.
    stochastic: whether equal inputs may get different answers; None for True under an
        ``ExpectationOverTransformationWrapper`` or around a model of ours that is, and False otherwise.

    Raises
    ------
    InvalidInput: not a Foolbox model, or the number of classes is missing.
    """
    ours = fmodel._model if isinstance(fmodel, TransformBoundsWrapper) else fmodel
    if isinstance(ours, FoolboxModel):
        bounds = (fmodel.bounds.lower, fmodel.bounds.upper)
        return ours.defended if bounds == tuple(ours.defended.bounds) else RescaledModel(ours.defended, bounds)
    if not isinstance(fmodel, Model):
        raise InvalidInput(f"the model is a {type(fmodel).__name__}: pass a foolbox.Model, such as PyTorchModel")
    if num_classes is None:
        raise InvalidInput("a Foolbox model does not tell how many classes it has: pass num_classes=<K>")
    if stochastic is None:
        stochastic = _draws(fmodel) or any(isinstance(layer, _AVERAGING) for layer in _layers(fmodel))
    return FoolboxBackedModel(fmodel, num_classes, stochastic)


def _draws(fmodel: Any) -> bool:
    """Whether there is a random model of ours inside, in whatever wrappers of Foolbox."""
    inside = _torch_module(fmodel)
    return isinstance(inside, DefendedModel) and inside.stochastic


def _layers(fmodel: Any) -> list[Any]:
    """The model and everything that it wraps."""
    layers = [fmodel]
    while isinstance(layers[-1], Model) and hasattr(layers[-1], "_model"):
        layers.append(layers[-1]._model)
    return layers


def _torch_module(fmodel: Any) -> nn.Module | None:
    """The torch module inside, which PyTorchModel keeps in a closure; None if it cannot be found."""
    inner = _layers(fmodel)[-1]
    found = inspect.getclosurevars(inner).nonlocals.get("model") if inspect.isfunction(inner) else None
    return found if isinstance(found, nn.Module) else None
