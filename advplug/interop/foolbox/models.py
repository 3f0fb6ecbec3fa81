"""Foolbox models from ours, and ours from Foolbox's."""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from foolbox.models import wrappers
from foolbox.models.base import Model
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from advplug.errors import InvalidInput
from advplug.model import DefendedModel

_AVERAGING = getattr(wrappers, "ExpectationOverTransformationWrapper", ())  # from Foolbox 3.3.3 on


class FoolboxModel(PyTorchModel):
    """A defended model in Foolbox's clothes; ``defended`` is the original."""

    def __init__(self, defended: DefendedModel, device: torch.device) -> None:
        super().__init__(defended, bounds=defended.bounds, device=device)
        self.defended = defended


def as_foolbox_model(model: DefendedModel, device: torch.device | str | None = None) -> FoolboxModel:
    """``model`` as a Foolbox model with its bounds, on ``device`` (default: where it is).

    Foolbox sees scores alone: that the defense rejects an input (:meth:`DefendedModel.decide`) is invisible to it, so
    it counts rejected inputs as successes. Our own attacks, called with this model, do respect it.
    """
    if device is None:
        parameter = next(model.parameters(), None)
        device = torch.device("cpu") if parameter is None else parameter.device
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


def from_foolbox_model(fmodel: Any, *, num_classes: int | None = None, stochastic: bool | None = None) -> DefendedModel:
    """Any Foolbox model on PyTorch, with its bounds and preprocessing; ours comes back as it was.

    Parameters
    ----------
    num_classes: number of classes K; a Foolbox model does not tell.
    stochastic: whether equal inputs may get different answers; None for True under an
        ``ExpectationOverTransformationWrapper`` and False otherwise.

    Raises
    ------
    InvalidInput: not a Foolbox model, or the number of classes is missing.
    """
    if isinstance(fmodel, FoolboxModel) and _untouched(fmodel):
        return fmodel.defended
    if not isinstance(fmodel, Model):
        raise InvalidInput(f"the model is a {type(fmodel).__name__}: pass a foolbox.Model, such as PyTorchModel")
    if num_classes is None:
        raise InvalidInput("a Foolbox model does not tell how many classes it has: pass num_classes=<K>")
    if stochastic is None:
        stochastic = any(isinstance(layer, _AVERAGING) for layer in _layers(fmodel))
    return FoolboxBackedModel(fmodel, num_classes, stochastic)


def _untouched(fmodel: FoolboxModel) -> bool:
    """Whether it still takes our inputs: ``transform_bounds`` returns a copy with other bounds."""
    return tuple(fmodel.bounds) == tuple(fmodel.defended.bounds)


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
