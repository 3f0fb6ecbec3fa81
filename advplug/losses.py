"""Losses: one value per sample, which the attacker minimises.

Without targets a loss drives the sample away from its label; with targets, towards its target. ``z`` stands for the
logits (n, K), ``y`` for the true class, ``t`` for the target.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import eagerpy as ep
import torch
from torch import Tensor

from advplug.errors import InvalidInput, NoGradient
from advplug.hyperparameters import Positive, check_hyperparameters, shown
from advplug.model import DefendedModel
from advplug.numerics.references import rows_at, squared_distance
from advplug.numerics.tensors import best_other, largest, pick, raw, wrap

LEAST_PROBABILITY = 1e-30
"""Below it a log probability is not told apart from that of zero."""

CAPABILITIES = ("features", "detector_scores")
"""What a loss may name as a layer without there being a module of that name: methods of the model."""


@dataclass(frozen=True)
class View:
    """What a loss sees of one forward pass.

    ``x`` (n, ...), ``logits`` (n, K), ``labels`` and ``targets`` int64 (n,), ``samples`` int64 (n,): the number of each
    row in the whole set, for losses that hold one reference per sample. ``activations`` holds what
    :attr:`Loss.layers` asked for, captured in the same forward pass.
    """

    model: DefendedModel
    x: ep.Tensor
    logits: ep.Tensor
    labels: ep.Tensor
    targets: ep.Tensor | None
    samples: ep.Tensor
    activations: dict[str, ep.Tensor]


class Loss(ABC):
    """A per-sample loss. A subclass sets the properties that differ, as in ``min_classes = 3``.

    A loss may have M values per sample, (n, M), for attacks that linearise each of them; the least one counts.
    """

    def __repr__(self) -> str:
        return shown(self)

    @property
    def layers(self) -> tuple[str, ...]:
        """Modules of the model whose outputs the loss needs, by name; or a capability, one of ``CAPABILITIES``.

        ``"name:input"`` is what goes into the module ``name``.
        """
        return ()

    @property
    def needs_targets(self) -> bool:
        """Whether it has no value without a target."""
        return False

    @property
    def min_classes(self) -> int:
        """How many classes a model must have."""
        return 2

    @property
    def reads(self) -> Literal["classes", "frames", "neither"]:
        """Whether it needs a score for each class, or the frames of a model that transcribes."""
        return "classes"

    @property
    def extra_passes(self) -> int:
        """Forward passes that it makes by itself for each value."""
        return 0

    def at(self, places: Tensor, total: int) -> Loss:
        """The loss for the samples at ``places``, int64 (n,), of ``total``: rows of references go with their samples.

        Raises
        ------
        InvalidInput: it has a row for each sample, and neither ``total`` nor n of them.
        """
        return self

    def mapped(self, change: Callable[[Loss], Loss]) -> Loss:
        """This loss with ``change`` of each loss that it is made of; itself if it is made of none."""
        return self

    @abstractmethod
    def __call__(self, view: View) -> ep.Tensor:
        """The loss of each sample, shape (n,) or (n, M), differentiable in ``view.x``."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """``log softmax(z)_y``, or ``-log softmax(z)_t``: the loss of FGSM (Goodfellow et al. 2015) and PGD."""

    def __call__(self, view: View) -> ep.Tensor:
        if view.targets is None:
            return -ep.crossentropy(view.logits, view.labels)
        return ep.crossentropy(view.logits, view.targets)


@dataclass(frozen=True)
class TemperedCrossEntropy(Loss):
    """:class:`CrossEntropy` of ``z / temperature``: has a gradient where the softmax of ``z`` saturates.

    For networks trained at a temperature, or otherwise led to logits far apart (Carlini and Wagner 2016).
    """

    temperature: Positive = 100.0

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def __call__(self, view: View) -> ep.Tensor:
        return CrossEntropy()(replace(view, logits=view.logits / self.temperature))


@dataclass(frozen=True)
class Margin(Loss):
    """``max(z_y - max_{j != y} z_j, -k)``, or ``max(max_{j != t} z_j - z_t, -k)`` (Carlini and Wagner 2017, f6).

    ``confidence`` is the margin k at which the loss goes flat; infinite (never flat) unless given.
    """

    confidence: float = float("inf")

    def __call__(self, view: View) -> ep.Tensor:
        if view.targets is None:
            gap = pick(view.logits, view.labels) - best_other(view.logits, view.labels)
        else:
            gap = best_other(view.logits, view.targets) - pick(view.logits, view.targets)
        return gap if self.confidence == float("inf") else ep.maximum(gap, -self.confidence)


@dataclass(frozen=True)
class LogMargin(Loss):
    """:class:`Margin` of log probabilities (Chen et al. 2017, eqs. 4 and 5), whichever scores the model gives.

    Logits differ by as much as log probabilities do, and are taken as they are.
    """

    confidence: float = float("inf")

    def __call__(self, view: View) -> ep.Tensor:
        if view.model.outputs == "probabilities":
            view = replace(view, logits=ep.maximum(view.logits, LEAST_PROBABILITY).log())
        return Margin(self.confidence)(view)


@dataclass(frozen=True)
class LogisticMargin(Loss):
    """``log(1 + exp(m))`` of the margin m of :class:`Margin`, a smooth stand-in for its sign (Matyasko, ch. 5)."""

    def __call__(self, view: View) -> ep.Tensor:
        return wrap(torch.nn.functional.softplus(raw(Margin()(view))))


@dataclass(frozen=True)
class ClassGaps(Loss):
    """``z_y - z_j`` for each of the likeliest other classes j, (n, min(count, K - 1)), likeliest first.

    With targets the one value ``max_{j != t} z_j - z_t``. A value below zero is a success; for attacks that step to the
    nearest of several boundaries (DeepFool, Moosavi-Dezfooli et al. 2016, algorithm 2; FAB, Croce and Hein 2020).
    """

    count: int = 9

    def __call__(self, view: View) -> ep.Tensor:
        if view.targets is not None:
            return Margin()(view).expand_dims(1)
        likely = raw(view.logits).gather(1, raw(self.classes(view.logits, view.labels)))
        return pick(view.logits, view.labels).expand_dims(1) - wrap(likely)

    def classes(self, logits: ep.Tensor, labels: ep.Tensor) -> ep.Tensor:
        """The classes j that the values belong to, int64 (n, min(count, K - 1)), for logits (n, K) and no targets."""
        others = raw(logits).detach().scatter(1, raw(labels)[:, None], -torch.inf)
        return wrap(others.topk(min(self.count, others.shape[1] - 1), dim=1).indices)


@dataclass(frozen=True)
class Logit(Loss):
    """``z_y``, or ``-z_t`` (Ozbulak et al., logit loss)."""

    def __call__(self, view: View) -> ep.Tensor:
        return pick(view.logits, view.labels) if view.targets is None else -pick(view.logits, view.targets)


@dataclass(frozen=True)
class MultiTargetLogit(Loss):
    """``max(b z_c - a z_t, -k)``, c the likeliest class other than t (Ozbulak et al., M-logit; confidence k = 20).

    Without targets the roles are y and the likeliest other class: ``max(a z_y - b z_c, -k)``.
    """

    confidence: float = 20.0
    a: float = 1.0
    b: float = 1.0

    def __call__(self, view: View) -> ep.Tensor:
        if view.targets is None:
            gap = self.a * pick(view.logits, view.labels) - self.b * best_other(view.logits, view.labels)
        else:
            gap = self.b * best_other(view.logits, view.targets) - self.a * pick(view.logits, view.targets)
        return ep.maximum(gap, -self.confidence)


@dataclass(frozen=True)
class DLR(Loss):
    """``(z_y - max_{j != y} z_j) / (z_1st - z_3rd)``, difference of logits ratio (Croce and Hein 2020, eq. 6).

    Ignores targets.
    """

    min_classes = 3

    def __call__(self, view: View) -> ep.Tensor:
        top = largest(view.logits, 3)
        gap = pick(view.logits, view.labels) - best_other(view.logits, view.labels)
        return gap / (top[:, 0] - top[:, 2] + 1e-12)


@dataclass(frozen=True)
class TargetedDLR(Loss):
    """``(z_y - z_t) / (z_1st - (z_3rd + z_4th) / 2)`` (Croce and Hein 2020, eq. 7)."""

    needs_targets = True
    min_classes = 4

    def __call__(self, view: View) -> ep.Tensor:
        if view.targets is None:
            raise InvalidInput("TargetedDLR needs targets: pass targets=<classes (N,)> or targets='each'")
        top = largest(view.logits, 4)
        gap = pick(view.logits, view.labels) - pick(view.logits, view.targets)
        return gap / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)


@dataclass(frozen=True, eq=False)
class LogitMatching(Loss):
    """``||z - r||_2^2``: look like a reference whose logits ``r`` are given.

    ``references`` is float (N, K), a row for each sample; or, ``by="class"``, (K, K): a row for the target of the
    sample, without targets for its label, where it holds the logits of some image of another class.
    """

    references: Tensor
    by: Literal["sample", "class"] = "sample"

    def __post_init__(self) -> None:
        if self.by not in ("sample", "class"):
            raise InvalidInput(f"by {self.by!r}: one reference for each 'sample' or for each 'class'")

    def at(self, places: Tensor, total: int) -> Loss:
        return self if self.by == "class" else replace(self, references=rows_at(self.references, places, total))

    def __call__(self, view: View) -> ep.Tensor:
        rows = view.samples if self.by == "sample" else view.labels if view.targets is None else view.targets
        return squared_distance(view.logits, self.references, rows)


class _OfLayer(Loss):
    """A loss of what the module ``layer`` gives."""

    layer: str
    reads = "neither"

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)


@dataclass(frozen=True, eq=False)
class FeatureMatching(_OfLayer):
    """``||phi(x) - r||_2^2`` for the named layer phi (Sabour et al. 2016).

    ``references`` is float (N, ...), a row for each sample.
    """

    layer: str
    references: Tensor

    def __call__(self, view: View) -> ep.Tensor:
        return squared_distance(view.activations[self.layer], self.references, view.samples)

    def at(self, places: Tensor, total: int) -> Loss:
        return replace(self, references=rows_at(self.references, places, total))


@dataclass(frozen=True, eq=False)
class CentreDistance(_OfLayer):
    """``||phi(x) - c_t||_2^2``, or ``-||phi(x) - c_y||_2^2``; ``centres`` float (K, D), phi the named layer (n, D)."""

    centres: Tensor
    layer: str = "features"

    def __call__(self, view: View) -> ep.Tensor:
        if view.targets is None:
            return -squared_distance(view.activations[self.layer], self.centres, view.labels)
        return squared_distance(view.activations[self.layer], self.centres, view.targets)


@dataclass(frozen=True)
class ActivationLoss(_OfLayer):
    """``function(activation, view)`` of shape (n,), for any layer: a module's path, or ``"features"``."""

    layer: str
    function: Callable[[ep.Tensor, View], ep.Tensor]

    def __call__(self, view: View) -> ep.Tensor:
        return self.function(view.activations[self.layer], view)


@dataclass(frozen=True)
class DetectorScore(_OfLayer):
    """``max(max_s (d_s - t_s), -k)``: by how much the worst score d_s of a detector exceeds its threshold t_s.

    Below zero the detector accepts. ``confidence`` is the k at which the loss goes flat; infinite (never flat) unless
    given. Reads ``detector_scores`` and ``thresholds`` of the model; labels and targets do not matter.
    """

    layer = "detector_scores"
    confidence: float = float("inf")

    def __call__(self, view: View) -> ep.Tensor:
        scores, name = raw(view.activations["detector_scores"]), type(view.model).__name__
        thresholds = view.model.capabilities.thresholds
        if thresholds is None:
            raise InvalidInput(f"DetectorScore needs the thresholds of a detector: {name} has no attribute thresholds")
        if torch.is_grad_enabled() and raw(view.x).requires_grad and not scores.requires_grad:
            raise NoGradient(
                f"the detector scores of {name} give no gradient: take torch.no_grad out of detector_scores, or use "
                "FiniteDifference (--gradients finite-differences)"
            )
        excess = wrap((scores.reshape(len(scores), -1) - torch.as_tensor(thresholds).to(scores)).amax(1))
        return excess if self.confidence == float("inf") else ep.maximum(excess, -self.confidence)


@dataclass(frozen=True)
class Joint(Loss):
    """``sum_i w_i L_i``: one weighted sum of several losses, as for a classifier and its detector at once.

    ``terms`` are pairs of a weight and a loss, such as ``((1.0, Margin()), (10.0, DetectorScore()))``.
    """

    terms: tuple[tuple[float, Loss], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple((weight, loss) for weight, loss in self.terms))
        if not self.terms:
            raise InvalidInput("terms is (): give pairs of a weight and a loss")
        for weight, loss in self.terms:
            if not isinstance(loss, Loss):
                raise InvalidInput(f"terms holds {loss!r}: give pairs of a weight and a loss")
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
                raise InvalidInput(f"the weight of {loss} is {weight!r}: give a finite number")

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer for _, loss in self.terms for layer in loss.layers))

    @property
    def needs_targets(self) -> bool:
        return any(loss.needs_targets for _, loss in self.terms)

    @property
    def min_classes(self) -> int:
        return max(loss.min_classes for _, loss in self.terms)

    @property
    def reads(self) -> Literal["classes", "frames", "neither"]:
        return next((loss.reads for _, loss in self.terms if loss.reads != "neither"), "neither")

    @property
    def extra_passes(self) -> int:
        return sum(loss.extra_passes for _, loss in self.terms)

    def at(self, places: Tensor, total: int) -> Loss:
        return self.mapped(lambda loss: loss.at(places, total))

    def mapped(self, change: Callable[[Loss], Loss]) -> Loss:
        return Joint(tuple((weight, change(loss)) for weight, loss in self.terms))

    def __call__(self, view: View) -> ep.Tensor:
        values = [weight * loss(view) for weight, loss in self.terms]
        if any(value.shape != values[0].shape for value in values):
            shapes = ", ".join(str(tuple(value.shape)) for value in values)
            raise InvalidInput(f"the terms of a joint loss have values of shape {shapes}: leave ClassGaps out")
        return sum(values[1:], values[0])
