"""A binary model on top of a defended one: a linear readout that knows one point from many (Zimmermann et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advplug.engine.gateway import Gateway
from advplug.model import Decision, DefendedModel

_RIDGES = (1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Multiples of the mean variance that are added to each direction; the first that separates is taken.

A large one leaves a direction that the network changes along smoothly; a small one finds a spike in its noise, which no
attack can be blamed for missing.
"""

_CLOSENESS = 0.9
"""Where the boundary lies: so far of the way from the outermost inner point to the surface point."""

_GAP = 0.05
"""Least distance between surface point and inner points, in standard deviations of their scores."""

_DRAWS = 8
"""Fresh draws of a random model, over which the surface point's features are averaged."""


@dataclass(frozen=True)
class Readout:
    """Score ``(f - centre) @ weight - threshold`` of features f (n, D): above zero only at the surface point."""

    centre: Tensor
    weight: Tensor
    threshold: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Scores (n,)."""
        flat = features.flatten(1)
        return (flat - self.centre.to(flat)) @ self.weight.to(flat) - self.threshold.to(flat)


def feature_layer(gateway: Gateway, x: Tensor) -> str | None:
    """Name of the last linear layer, if its outputs are the model's scores for ``x`` (n, ...); None otherwise.

    What a defense does after its last layer (rounding, a vote, a code) would be left out, so that its scores are the
    features there.
    """
    calls: list[tuple[str, Tensor, Tensor]] = []

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _module, inputs, output: calls.append((name, inputs[0], output))

    with ExitStack() as hooks, torch.no_grad():
        for name, module in gateway.model.named_modules():
            if isinstance(module, nn.Linear):
                hooks.callback(module.register_forward_hook(note(name)).remove)
        scores = gateway.ask(gateway.model, x)
    if not calls:
        return None
    name, before, after = calls[-1]
    whole = after.shape == scores.shape and before.ndim == 2 and torch.equal(after.to(scores), scores)
    return name if whole else None


def separate(inner: Tensor, candidates: Tensor) -> tuple[Readout, int] | None:
    """A readout that is above zero at one of ``candidates`` (m, D), and which, and below it at all ``inner`` (n, D).

    The directions are those of the linear discriminant in closed form, with as much of a ridge as separates; of several
    candidates that one is taken which stands out most. None if there is none.
    """
    inner, candidates = inner.double(), candidates.double()
    centre = inner.mean(0)
    spread, away = inner - centre, candidates - centre
    covariance = spread.T @ spread / len(inner)
    identity = torch.eye(len(centre), dtype=torch.float64, device=inner.device)
    mean_variance = covariance.diagonal().mean().clamp(min=1e-12)
    for ridge in _RIDGES:
        weights = torch.linalg.solve(covariance + ridge * mean_variance * identity, away.T)  # (D, m)
        scores, tops = spread @ weights, (away * weights.T).sum(1)
        sizes, outermost = scores.std(0).clamp(min=1e-12), scores.amax(0)
        gaps = (tops - outermost) / sizes
        best = int(gaps.argmax())
        if gaps[best] > _GAP:
            threshold = (outermost / sizes + _CLOSENESS * gaps)[best]
            return Readout(centre, weights[:, best] / sizes[best], threshold), best
    return None


class BinaryModel(DefendedModel):
    """Class 1 where the readout is above zero, class 0 elsewhere; all else is the ``defended`` model's.

    Parameters
    ----------
    layer: the linear layer whose inputs are the features; None for the scores of the model.
    """

    def __init__(self, defended: DefendedModel, layer: str | None, readout: Readout | None = None) -> None:
        super().__init__(2, defended.bounds)
        self.defended, self.layer, self.readout = defended, layer, readout
        self.stochastic, self.batch_dependent = defended.stochastic, defended.batch_dependent
        offered = defended.capabilities
        if offered.surrogate is not None:
            self.surrogate = lambda x: self._scores(self._read(offered.surrogate, x))
        if offered.detector_scores is not None:
            self.detector_scores, self.thresholds = offered.detector_scores, offered.thresholds

    def forward(self, x: Tensor) -> Tensor:
        return self._scores(self.features_of(x))

    def features_of(self, x: Tensor) -> Tensor:
        """What the readout reads, (n, D)."""
        return self._read(self.defended, x)

    def _read(self, function: Callable[[Tensor], Tensor] | None, x: Tensor) -> Tensor:
        assert function is not None
        if self.layer is None:
            return function(x).flatten(1)
        seen: list[Tensor] = []
        layer = self.defended.get_submodule(self.layer)
        hook = layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        try:
            answer = function(x)
        finally:
            hook.remove()
        return seen[-1] if seen else answer.flatten(1)

    def _scores(self, features: Tensor) -> Tensor:
        assert self.readout is not None
        half = self.readout(features) / 2
        return torch.stack((-half, half), 1)


class RejectingBinaryModel(BinaryModel):
    """The same behind the detector of the defended model."""

    def decide(self, x: Tensor) -> Decision:
        labels = self(x).argmax(1)
        return Decision(labels, self.defended.decide(x).accepted)


def binary_model(defended: DefendedModel, layer: str | None) -> BinaryModel:
    """The binary model without its readout yet, with the detector where there is one."""
    return (RejectingBinaryModel if defended.rejects else BinaryModel)(defended, layer)


def features(model: BinaryModel, gateway: Gateway, x: Tensor, draws: int = 1) -> Tensor:
    """Features (n, D) of ``x`` (n, ...), the mean of ``draws`` passes."""
    with torch.no_grad():
        passes = [
            torch.cat(gateway.in_passes(lambda part: gateway.ask(model.features_of, part), x)) for _ in range(draws)
        ]
    return torch.stack(passes).mean(0)


def fitted(model: BinaryModel, gateway: Gateway, inner: Tensor, candidates: Tensor) -> bool:
    """Fit the readout of ``model`` to ``inner`` (n, ...) and one of ``candidates`` (m, ...); False where none can be.

    Of a random model the surface point must be told apart in most of its fresh draws.
    """
    draws = _DRAWS if model.stochastic else 1
    found = separate(features(model, gateway, inner), features(model, gateway, candidates, draws))
    if found is None:
        return False
    model.readout, chosen = found
    fresh = [gateway.decide(candidates[chosen : chosen + 1]) for _ in range(draws)]
    return sum(bool((one.labels == 1) & one.accepted) for one in fresh) > draws / 2
