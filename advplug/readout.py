"""Losses on scores read off a part of the model, for models whose last steps leave no gradient."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter

import eagerpy as ep
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.losses import Loss, Margin, OnScores, View
from advplug.ops import raw, wrap


@dataclass(frozen=True)
class Readout(OnScores):
    """The loss ``of`` at ``W h`` instead of at the logits, where h (n, D) is a part of the model and W a matrix in it.

    What the model makes of h after that (a saturated activation, a floor, a logarithm) is left out of the loss, and
    stays in what counts as a success.

    Parameters
    ----------
    part: path of a module in ``named_modules()``; its output is flattened to (n, D).
    matrix: path of a parameter or buffer (K, D) of the model, such as a code or the weight of its last layer.
    of: any loss of the logits.

    Raises
    ------
    InvalidInput: the model has no such matrix, or it does not fit the part.
    """

    part: str
    matrix: str
    of: Loss = field(default_factory=Margin)

    def __call__(self, view: View) -> ep.Tensor:
        found = raw(view.parts[self.part]).flatten(1)
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
                f"{self.matrix!r} of {name} has shape {shape}: reading {classes} scores off {self.part!r} "
                f"takes ({classes}, {width})"
            )
        return matrix
