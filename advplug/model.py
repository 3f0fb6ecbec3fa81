"""Defended models: what an attack sees of a defense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput


@dataclass(frozen=True)
class Decision:
    """What the deployed system answers: ``labels`` int64 (N,) and ``accepted`` bool (N,), False where it rejects."""

    labels: Tensor
    accepted: Tensor


class DefendedModel(nn.Module):
    """A classifier together with everything its defense does at test time.

    Subclasses write :meth:`forward`, and :meth:`decide` if they can reject an input. Preprocessing and
    normalisation belong inside ``forward``: inputs always lie in ``bounds``.

    Parameters
    ----------
    num_classes: number of classes K.
    bounds: range of valid input values.
    """

    outputs: ClassVar[Literal["logits", "probabilities"]] = "logits"
    stochastic: bool = False

    def __init__(self, num_classes: int, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__()
        if num_classes < 2:
            raise InvalidInput(f"num_classes is {num_classes}: a classifier needs at least 2")
        self.num_classes = num_classes
        self.bounds = bounds

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, K) for inputs (N, ...); logits unless ``outputs`` says otherwise."""
        raise NotImplementedError

    def decide(self, x: Tensor) -> Decision:
        """The answer of the deployed system to ``x`` (N, ...). Plain classifiers accept everything."""
        labels = self(x).argmax(1)
        return Decision(labels, torch.ones_like(labels, dtype=torch.bool))

    @property
    def rejects(self) -> bool:
        """Whether :meth:`decide` does more than take the most likely class."""
        return type(self).decide is not DefendedModel.decide


class PlainModel(DefendedModel):
    """Any callable from inputs to logits, seen as a model without a defense."""

    def __init__(
        self, module: Callable[[Tensor], Tensor], num_classes: int, bounds: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        super().__init__(num_classes, bounds)
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


# --- capabilities: what a defense may offer beyond scores, and a loss or search may look for ---


@runtime_checkable
class HasFeatures(Protocol):
    """Representation that the defense shapes, (N, D)."""

    def features(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class HasMembers(Protocol):
    """Logits of each member of an ensemble, (N, M, K)."""

    def member_logits(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class HasDetector(Protocol):
    """Scores (N,) or (N, S); an input is rejected where a score exceeds its threshold."""

    def detector_scores(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class HasThresholds(HasDetector, Protocol):
    """A detector that says which threshold, of (S,), each of its scores must not exceed."""

    @property
    def thresholds(self) -> Tensor: ...


@runtime_checkable
class HasSurrogate(Protocol):
    """A differentiable stand-in for ``forward``, (N, K), for backward-pass differentiable approximation."""

    def surrogate(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class CanSample(Protocol):
    """One random draw of a stochastic defense, (N, K), from the given generator."""

    def sample(self, x: Tensor, generator: torch.Generator) -> Tensor: ...
