"""Defended models: what an attack sees of a defense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
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

    Attributes
    ----------
    outputs: what :meth:`forward` returns; ``frames`` are those of a :class:`advplug.transcription.Transcriber`.
    stochastic: equal inputs may get different answers.
    batch_dependent: the answer to an input depends on the others of its batch; each is then asked about alone.
    undeclared: which of the last two the model does not say of itself, and its answers show.
    """

    outputs: ClassVar[Literal["logits", "probabilities", "frames"]] = "logits"
    stochastic: bool = False
    batch_dependent: bool = False
    undeclared: frozenset[str] = frozenset()

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
        labels = self.answers(self(x))
        return Decision(labels, torch.ones_like(labels, dtype=torch.bool))

    def answers(self, scores: Tensor) -> Tensor:
        """The answer that scores (..., K) stand for, int64 (...): the likeliest class, unless overridden."""
        return scores.argmax(-1)

    @property
    def scores_classes(self) -> bool:
        """Whether its scores are one for each class, as losses of classes need them."""
        return self.outputs != "frames"

    @property
    def rejects(self) -> bool:
        """Whether :meth:`decide` does more than read the answer off the scores."""
        return type(self).decide is not DefendedModel.decide

    @property
    def capabilities(self) -> Capabilities:
        """What the defense offers beyond scores."""
        return Capabilities(**{field.name: getattr(self, field.name, None) for field in fields(Capabilities)})


def check_scores_classes(model: DefendedModel) -> None:
    """Refuse a model that transcribes, where others than advplug would take its frames for classes.

    Raises
    ------
    InvalidInput: it does.
    """
    if not model.scores_classes:
        raise InvalidInput(f"{type(model).__name__} transcribes: this takes models with a score for each class alone")


class PlainModel(DefendedModel):
    """Any callable from inputs to scores, seen as a model without a defense.

    What it declares as a :class:`DefendedModel` would is honoured: ``stochastic``, ``batch_dependent``, and methods and
    ``thresholds`` named in :class:`Capabilities`. A submodule of such a name, ``features`` in many networks, is none.

    Parameters
    ----------
    module: a module, or a function of tensors or of NumPy arrays such as a scikit-learn ``predict_proba``; from inputs
        (N, ...) to scores (N, K). Of an answer with an attribute or entry ``logits``, or of one entry alone, that is
        taken. Functions of arrays give no gradient.
    num_classes, bounds: see :class:`DefendedModel`.
    output: name or number of the entry that holds the scores, where the answer has several.
    """

    def __init__(
        self,
        module: Callable[[Any], Any],
        num_classes: int,
        bounds: tuple[float, float] = (0.0, 1.0),
        *,
        output: str | int | None = None,
    ) -> None:
        super().__init__(num_classes, bounds)
        self.module = module
        self.output = output
        for name in ("stochastic", "batch_dependent"):
            if getattr(module, name, False):
                setattr(self, name, True)
        self._takes_arrays = False if isinstance(module, nn.Module) else None

    @property
    def capabilities(self) -> Capabilities:
        """What the callable offers beyond scores."""
        found = {field.name: getattr(self.module, field.name, None) for field in fields(Capabilities)}
        return Capabilities(**{name: None if isinstance(offer, nn.Module) else offer for name, offer in found.items()})

    def forward(self, x: Tensor) -> Tensor:
        if self._takes_arrays is None:
            self._takes_arrays = _takes_arrays(self.module, x[:1])
        answer = self.module(x.detach().cpu().numpy() if self._takes_arrays else x)
        return scores_in(answer, self.output, x.device)


def _takes_arrays(function: Callable[[Any], Any], example: Tensor) -> bool:
    """Whether a function wants NumPy arrays: a tensor with a gradient, which NumPy refuses, gets no tensor from it."""
    try:
        with torch.enable_grad():
            answer = function(example.detach().requires_grad_())
    except Exception:
        return True
    return isinstance(answer, np.ndarray)


def scores_in(answer: Any, output: str | int | None, device: torch.device) -> Tensor:
    """The scores in what a model answers: a tensor or array, or one in a dict, a tuple or an object with attributes.

    Raises
    ------
    InvalidInput: several entries, and ``output`` names none of them.
    """
    entries = _entries(answer)
    if output is not None:
        if output not in entries:
            raise InvalidInput(f"output={output!r}: the model answers with {_listed(entries) or type(answer).__name__}")
        answer = entries[output]
    elif isinstance(answer, Tensor | np.ndarray):
        pass
    elif "logits" in entries:
        answer = entries["logits"]
    elif len(entries) == 1:
        (answer,) = entries.values()
    elif entries:
        example = f"PlainModel(model, num_classes, output={next(iter(entries))!r}) or --output"
        raise InvalidInput(f"the model answers with {_listed(entries)}: name the one with the scores, as in {example}")
    if not isinstance(answer, Tensor | np.ndarray):
        raise InvalidInput(f"the model must return logits (N, K), it returned a {type(answer).__name__}")
    if isinstance(answer, np.ndarray):
        answer = np.ascontiguousarray(answer)  # torch takes no view that runs backwards
    scores = torch.as_tensor(answer, device=device)
    if scores.is_complex():
        raise InvalidInput(f"the model returned scores of type {scores.dtype}: return their magnitudes")
    return scores if scores.is_floating_point() else scores.float()  # votes, or one-hot


def _entries(answer: Any) -> dict[str | int, Any]:
    """The parts of a dict, a named or plain tuple, a list, or an object with ``logits``, by name or number."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if hasattr(answer, "_asdict"):
        return dict(answer._asdict())
    if isinstance(answer, tuple | list):
        return dict(enumerate(answer))
    return {"logits": answer.logits} if hasattr(answer, "logits") else {}


def _listed(entries: Mapping[str | int, Any]) -> str:
    return ", ".join(f"{name!r} {tuple(getattr(value, 'shape', ()))}" for name, value in entries.items())


class FixedBatch(nn.Module):
    """A module that takes batches of ``size`` inputs alone, for batches of any size: the last one is filled up.

    Parameters
    ----------
    module: a module or function from inputs (size, ...) to scores (size, K), such as an exported program.
    """

    def __init__(self, module: Callable[[Any], Any], size: int) -> None:
        super().__init__()
        self.module, self.size = module, size

    def forward(self, x: Tensor) -> Tensor:
        missing = -len(x) % self.size
        filled = torch.cat((x, x[-1:].expand(missing, *x.shape[1:]))) if missing else x
        answers = [scores_in(self.module(part), None, x.device) for part in filled.split(self.size)]
        return torch.cat(answers)[: len(x)]
