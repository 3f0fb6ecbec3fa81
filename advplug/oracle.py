"""The model as an attack asks it before the search starts."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.errors import NonFiniteLogits
from advplug.model import DefendedModel


class Oracle:
    """Scores of ``model`` for any inputs, as many at once as fit into memory; ``asked`` counts the inputs."""

    def __init__(self, model: DefendedModel, max_rows: int) -> None:
        self._model, self._max_rows = model, max_rows
        self.asked = 0

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Scores (m, K) for ``x`` (m, ...).

        Raises
        ------
        NonFiniteLogits: the model returned NaN or infinite scores.
        """
        self.asked += len(x)
        scores = torch.cat([self._model(chunk) for chunk in x.split(self._max_rows)])
        if not bool(scores.isfinite().all()):
            raise NonFiniteLogits("the model returned NaN or infinite logits for the attacker's own images")
        return scores
