"""Look like a sample of another class: matching logits, or features, of one that the deployed system accepts."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep
import torch
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.references import Referring
from advplug.errors import InvalidInput
from advplug.families.activations import find_layer, scores_and_activations
from advplug.losses import Loss, View
from advplug.numerics.tensors import raw, wrap

MOST = 256
"""Samples of the attacked set that a reference is looked for among, the first ones."""


@dataclass(frozen=True)
class Lookalike(Referring):
    """``||phi(x) - phi(r)||_2^2``: r is the nearest sample of another class that is answered rightly and accepted.

    Under a target r is of that class, if there is such a sample. References are other samples of the attacked set: the
    attacker needs no more than those. What a detector accepts of them it cannot tell from an input that looks the same
    (Sabour et al. 2016; Tramer et al. 2020, section 5).

    Parameters
    ----------
    layer: phi, a module by its path, what goes into it (``path:input``), or ``features``: what the model calls so, else
        what goes into its last linear layer; None for the logits.

    Raises
    ------
    InvalidInput: no such layer, or no such sample for each of those attacked.
    """

    layer: str | None = None

    def among(self, problem: Problem, gateway: Gateway) -> Loss:
        if problem.pool is None:
            raise InvalidInput("a problem without a pool has no references: build it with make_problem")
        x, labels = gateway.cast(problem.pool.inputs[:MOST]), problem.pool.labels[:MOST]
        layer = self._found(gateway, x)
        decision = gateway.decide(x)
        fits = decision.accepted & (decision.labels == labels)
        references, labels = _inside(layer, gateway, x)[fits], labels[fits]
        mine = _inside(layer, gateway, gateway.cast(problem.inputs)).flatten(1)
        distance = torch.cdist(mine[None], references.flatten(1)[None])[0]
        distance = distance.masked_fill(labels == problem.labels[:, None], torch.inf)  # (n, references)
        if not len(references) or bool(distance.isinf().all(1).any()):
            raise InvalidInput(
                "lookalike finds no sample of another class that the model is right about: attack more samples at once"
            )
        classes = [_nearest(distance, labels == label) for label in range(problem.model.num_classes)]
        places = torch.stack([*classes, distance.argmin(1)], 1)
        rows = places.new_zeros(int(problem.samples.max()) + 1, places.shape[1])
        rows[problem.samples] = places
        return Alike(references, rows, layer)

    def __call__(self, view: View) -> ep.Tensor:
        raise InvalidInput(f"{self} has no references yet: use it as the loss of an attack, alone or in a sum")

    def _found(self, gateway: Gateway, x: Tensor) -> str | None:
        """The layer by its name in the model."""
        if self.layer is None:
            return None
        named = "features" in dict(gateway.model.named_modules()) or gateway.model.capabilities.features is not None
        return find_layer(None if self.layer == "features" and not named else self.layer, gateway, x)


@dataclass(frozen=True, eq=False)
class Alike(Loss):
    """:class:`Lookalike` with its ``references`` (m, ...).

    ``rows`` int64 (N, K + 1): which of them is for a sample and a target, in the last column for none.
    """

    references: Tensor
    rows: Tensor
    layer: str | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        return () if self.layer is None else (self.layer,)

    def __call__(self, view: View) -> ep.Tensor:
        own = raw(view.logits) if self.layer is None else raw(view.activations[self.layer])
        samples, last = raw(view.samples), self.rows.shape[1] - 1
        columns = torch.full_like(samples, last) if view.targets is None else raw(view.targets)
        wanted = self.references[self.rows[samples, columns]].to(own)
        return wrap((own - wanted).flatten(1).square().sum(1))


def _nearest(distance: Tensor, of_class: Tensor) -> Tensor:
    """The nearest reference of a class, of any other class where there is none; int64 (n,)."""
    among = distance.masked_fill(~of_class, torch.inf)
    return torch.where(among.isinf().all(1), distance.argmin(1), among.argmin(1))


def _inside(layer: str | None, gateway: Gateway, x: Tensor) -> Tensor:
    """What the model gives for ``x`` in a layer, (n, ...); its logits for None."""
    return gateway.scores(x) if layer is None else scores_and_activations(layer, gateway, x)[1]
