"""Foolbox models from ours, and ours from Foolbox's."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from foolbox.models import wrappers
from foolbox.models.base import Model, ModelWithPreprocessing, TransformBoundsWrapper
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from advplug.engine.frozen import device_of
from advplug.engine.model_probe import plain_model
from advplug.errors import InvalidInput
from advplug.interop.inner import as_inner, declare_like, offered
from advplug.model import Capabilities, Decision, DefendedModel, check_scores_classes

_AVERAGING = getattr(wrappers, "ExpectationOverTransformationWrapper", ())  # from Foolbox 3.3.3 on
_PASSES_ON = tuple(
    layer.__call__ for layer in (ModelWithPreprocessing, TransformBoundsWrapper, wrappers.ThresholdingWrapper)
)
"""How layers of Foolbox ask those inside: they change the inputs alone."""


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
    check_scores_classes(model)
    if device is None:
        device = device_of(model) or torch.device("cpu")
    return FoolboxModel(model, torch.device(device))


class FoolboxBackedModel(DefendedModel):
    """A Foolbox model with its preprocessing, and what the torch module inside declares, offers and rejects.

    ``inner`` is that module; None under a layer of the user's own, which may answer otherwise. The whole is asked then.
    """

    def __init__(self, fmodel: Any, num_classes: int, stochastic: bool | None) -> None:
        super().__init__(num_classes, tuple(fmodel.bounds))
        self.fmodel = fmodel
        self.network = _torch_module(fmodel)  # known as a part, so that the engine can freeze and restore it
        self.inner = None
        if self.network is not None and _is_transparent(fmodel):
            self.inner = as_inner(self.network, num_classes, self.bounds)
            declare_like(self, self.inner)
        if stochastic is None:
            averages = any(isinstance(layer, _AVERAGING) for layer in _layers(fmodel))
            stochastic = averages or bool(getattr(self.network, "stochastic", False))
        self.stochastic = stochastic

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fmodel(x)) if self.inner is None else self._through(self.inner, x)

    @property
    def rejects(self) -> bool:
        return self.inner is not None and self.inner.rejects

    def decide(self, x: Tensor) -> Decision:
        if self.inner is None or not self.inner.rejects:
            return super().decide(x)
        decisions: list[Decision] = []

        def labels(inputs: Tensor, inner: DefendedModel = self.inner) -> Tensor:
            decisions.append(inner.decide(inputs))
            return decisions[0].labels

        self._through(labels, x)
        return decisions[0]

    @property
    def capabilities(self) -> Capabilities:
        """What the module inside offers beyond scores, after the preprocessing."""
        if self.inner is None:
            return Capabilities()
        return offered(self.inner, lambda offer: partial(self._through, offer))

    def _through(self, function: Callable[..., Tensor], x: Tensor, *rest: Any) -> Tensor:
        """The Foolbox model with ``function`` in place of its torch module, at ``x`` (n, ...)."""
        return cast(Tensor, _around(self.fmodel, lambda inputs: function(inputs, *rest))(x))


def from_foolbox_model(fmodel: Any, *, num_classes: int | None = None, stochastic: bool | None = None) -> DefendedModel:
    """Any Foolbox model on PyTorch, with its bounds and preprocessing; ours comes back as it was, or for other bounds.

    Parameters
    ----------
    num_classes: number of classes K; a Foolbox model does not tell, unless a model of ours is inside.
    stochastic: whether equal inputs may get different answers; None for True under an
        ``ExpectationOverTransformationWrapper`` or around a module that says so, and False otherwise.

    Raises
    ------
    InvalidInput: not a Foolbox model, the number of classes is missing, or averages of a model that rejects inputs.
    """
    if not isinstance(fmodel, Model):
        raise InvalidInput(f"the model is a {type(fmodel).__name__}: pass a foolbox.Model, such as PyTorchModel")
    if isinstance(fmodel, FoolboxModel) and tuple(fmodel.bounds) == tuple(fmodel.defended.bounds):
        return fmodel.defended
    module = _torch_module(fmodel)
    ours = module if isinstance(module, DefendedModel) else None
    if ours is not None and ours.rejects:
        _check_decisions(fmodel)
    if num_classes is None and ours is not None and _is_transparent(fmodel):
        num_classes = ours.num_classes
    if num_classes is None:
        raise InvalidInput("a Foolbox model does not tell how many classes it has: pass num_classes=<K>")
    return FoolboxBackedModel(fmodel, num_classes, stochastic)


def model_answering(fmodel: Any, inputs: Tensor) -> DefendedModel:
    """:func:`from_foolbox_model` with as many classes as the model answers with; none of ours is asked for that.

    Raises
    ------
    InvalidInput: see there; or it does not take ``inputs`` (N, ...), or does not answer with scores (n, K).
    """
    if isinstance(_torch_module(fmodel), DefendedModel) and _is_transparent(fmodel):
        return from_foolbox_model(fmodel)
    model = from_foolbox_model(fmodel, num_classes=2)
    plain = plain_model(model, inputs, model.bounds)
    if plain.module is not model:  # it takes batches of one size, and gets them
        return plain
    return from_foolbox_model(fmodel, num_classes=plain.num_classes)


def _check_decisions(fmodel: Any) -> None:
    """Raise InvalidInput if a layer of ``fmodel`` would make other decisions than the model of ours inside."""
    for layer in _layers(fmodel):
        if isinstance(layer, Model) and type(layer).__call__ not in _PASSES_ON:
            name = type(layer).__name__
            raise InvalidInput(
                f"{name} is around a model that rejects inputs, and knows no decisions: put what it does into a "
                "DefendedModel with decide, and pass as_foolbox_model of that"
            )


def _is_transparent(fmodel: Any) -> bool:
    """Whether all layers change the inputs alone, or average answers."""
    layers = [layer for layer in _layers(fmodel) if isinstance(layer, Model)]
    return all(type(layer).__call__ in _PASSES_ON or type(layer) is _AVERAGING for layer in layers)


def _around(fmodel: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same layers around ``function``."""
    outer = copy.copy(fmodel)
    outer._model = _around(outer._model, function) if isinstance(outer._model, Model) else function
    return outer


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
