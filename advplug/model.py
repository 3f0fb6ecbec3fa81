"""Defended models: what an attack sees of a defense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput


@dataclass(frozen=True)
class Decision:
    """What the deployed system answers: ``labels`` int64 (N,) and ``accepted`` bool (N,), False where it rejects.

    ``scores`` float (N, K) are those behind the answer, for conditions that an attack sets on them; None in answers of
    :meth:`DefendedModel.decide`.
    """

    labels: Tensor
    accepted: Tensor
    scores: Tensor | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a defense offers beyond scores; each is None where it offers nothing.

    A :class:`DefendedModel` has a capability as soon as it has a method (or, for ``thresholds``, an attribute) of that
    name; losses, gradient estimators and searches look here for it.

    Parameters
    ----------
    features: ``features(x)``, the representation (N, D) that the defense shapes.
    detector_scores: ``detector_scores(x)``, (N,) or (N, S); an input is rejected where a score exceeds its threshold.
    thresholds: the threshold of each of these scores, (S,).
    surrogate: ``surrogate(x)``, a differentiable stand-in for ``forward``, (N, K), for backward-pass differentiable
        approximation.
    sample: ``sample(x, generator)``, one random draw of a stochastic defense, (N, K).
    """

    features: Callable[[Tensor], Tensor] | None = None
    detector_scores: Callable[[Tensor], Tensor] | None = None
    thresholds: Tensor | None = None
    surrogate: Callable[[Tensor], Tensor] | None = None
    sample: Callable[[Tensor, torch.Generator], Tensor] | None = None


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

    @property
    def capabilities(self) -> Capabilities:
        """What the defense offers beyond scores."""
        return Capabilities(**{field.name: getattr(self, field.name, None) for field in fields(Capabilities)})


class PlainModel(DefendedModel):
    """Any callable from inputs to logits, seen as a model without a defense.

    What it declares as a :class:`DefendedModel` would is honoured: the attribute ``stochastic``, and methods and
    ``thresholds`` named in :class:`Capabilities`. A submodule of such a name, ``features`` in many networks, is none.
    """

    def __init__(
        self, module: Callable[[Tensor], Tensor], num_classes: int, bounds: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        super().__init__(num_classes, bounds)
        self.module = module
        self.stochastic = self.stochastic or bool(getattr(module, "stochastic", False))

    @property
    def capabilities(self) -> Capabilities:
        """What the callable offers beyond scores."""
        found = {field.name: getattr(self.module, field.name, None) for field in fields(Capabilities)}
        return Capabilities(**{name: None if isinstance(offer, nn.Module) else offer for name, offer in found.items()})

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)
