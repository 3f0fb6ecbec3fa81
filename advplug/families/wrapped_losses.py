"""Losses of scores that are made inside the model: of a layer before the output, or of each member of an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Literal

import eagerpy as ep
import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.losses import Loss, Margin, View
from advplug.numerics.tensors import raw, wrap


class LossAround(Loss):
    """A loss that asks the loss ``of`` at other scores than the model's; a subclass is a dataclass with that field."""

    of: Loss

    @property
    def layers(self) -> tuple[str, ...]:
        return self.of.layers

    @property
    def needs_targets(self) -> bool:
        return self.of.needs_targets

    @property
    def min_classes(self) -> int:
        return self.of.min_classes

    @property
    def reads(self) -> Literal["classes", "frames", "neither"]:
        return self.of.reads

    @property
    def extra_passes(self) -> int:
        return self.of.extra_passes

    def at(self, places: Tensor, total: int) -> Loss:
        return self.mapped(lambda loss: loss.at(places, total))

    def mapped(self, change: Callable[[Loss], Loss]) -> Loss:
        copy: Any = self
        changed: Loss = replace(copy, of=change(self.of))
        return changed


class WrappedLoss(LossAround):
    """The loss ``of`` at scores that a subclass makes of the output of the module ``layer``."""

    layer: str

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer, *self.of.layers)


@dataclass(frozen=True)
class LinearReadout(WrappedLoss):
    """The loss ``of`` at ``W h`` instead of at the logits; h (n, D) is the output of a layer, W a matrix of the model.

    The loss leaves out what the model does with h after that (a saturated activation, a floor, a logarithm). The
    criterion does not: it still judges the answer of the whole model.

    Parameters
    ----------
    layer: path of a module in ``named_modules()``; its output is flattened to (n, D).
    matrix: path of a parameter or buffer (K, D) of the model, such as a code or the weight of its last layer.
    of: any loss of the logits.

    Raises
    ------
    InvalidInput: the model has no such matrix, or it does not fit the layer.
    """

    layer: str
    matrix: str
    of: Loss = field(default_factory=Margin)

    def __call__(self, view: View) -> ep.Tensor:
        found = raw(view.activations[self.layer]).flatten(1)
        matrix = self._matrix(view, found.shape[1])
        return self.of(replace(view, logits=wrap(found @ matrix.to(found).T)))

    def _matrix(self, view: View, width: int) -> Tensor:
        name = type(view.model).__name__
        try:
            matrix = attrgetter(self.matrix)(view.model)
        except AttributeError as error:
            raise InvalidInput(f"the loss needs the matrix {self.matrix!r}: {name} has none of that name") from error
        classes = view.logits.shape[1]
        if not isinstance(matrix, Tensor) or matrix.shape != (classes, width):
            shape = tuple(getattr(matrix, "shape", ()))
            raise InvalidInput(
                f"{self.matrix!r} of {name} has shape {shape}: reading {classes} scores off {self.layer!r} "
                f"takes ({classes}, {width})"
            )
        return matrix


@dataclass(frozen=True)
class MeanOverMembers(WrappedLoss):
    """The mean over an ensemble's members of the loss ``of``, each at its own logits (Liu et al. 2017 average them).

    ``layer`` names the module of the model that gives the logits of all members, (n, M, K).
    """

    of: Loss
    layer: str = "members"

    def __call__(self, view: View) -> ep.Tensor:
        members = raw(view.activations[self.layer]).unbind(1)
        losses = [raw(self.of(replace(view, logits=wrap(logits)))) for logits in members]
        return wrap(torch.stack(losses).mean(0))
