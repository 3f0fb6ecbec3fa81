"""What a model is, as its answers to a few inputs show: its classes, and whether it is random or looks at batch-mates.

A model is treated as it behaves, whatever it declares: scored on one draw, a random model looks more robust than it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from advplug.engine.frozen import device_of, frozen
from advplug.engine.gateway import DEFAULT_BUDGET, Gateway, ask, inside, out_of_memory, scores_alike
from advplug.errors import AdvplugError, InvalidInput
from advplug.model import DefendedModel, FixedBatch, PlainModel

PROBED = 16
"""How many inputs are asked about, at most."""

COMPANY = 4
"""How many inputs at least; noise where the caller has fewer."""

PASSES = 4
"""How often they are asked about, for answers that are random now and then."""

_REPEATED = 1e-5
"""Share of the largest score that rounding may change in an equal pass."""

_SIZES = (2, 3, 4, 8, 10, 16, 20, 32, 50, 64, 100, 128, 256)
"""Batch sizes to try on a module that does not take one input."""


def as_defended(
    model: nn.Module, inputs: Tensor, bounds: tuple[float, float], *, memory_budget: int = DEFAULT_BUDGET
) -> DefendedModel:
    """``model`` itself, or wrapped as one without a defense; marked as random or batch-dependent if it is found to be.

    The number of classes of a plain module is read off its answer. One that takes batches of one size alone gets them.

    Raises
    ------
    InvalidInput: no model, or one that does not take ``inputs`` (N, ...), or does not answer with scores (n, K).
    """
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"the model is a {type(model).__name__}: pass a torch.nn.Module, or {_around(model)}")
    device = device_of(model)
    if device is not None and device != inputs.device:
        raise InvalidInput(f"the model is on {device}, the inputs on {inputs.device}: move one of them")
    lazy = next((name for name, tensor in model.named_parameters() if nn.parameter.is_lazy(tensor)), None)
    if lazy is not None:
        raise InvalidInput(f"the model has no value for {lazy} yet: pass inputs through it once")
    with frozen(model, 0, inputs.device), torch.no_grad():
        if isinstance(model, DefendedModel):
            _check_scores(model, _asked(model, inputs[:1]))
            defended = model
        else:
            defended = plain_model(model, inputs, bounds)
        gateway = Gateway(defended, inputs[:1], memory_budget=memory_budget)
        versions = _versions(model)
        found = _undeclared(gateway, inputs[:PROBED])
        changed = [name for name, version in _versions(model).items() if version != versions[name]]
        if changed:
            raise InvalidInput(f"the model changes its parameter {changed[0]} when it is asked: freeze it there")
        return _marked(defended, found)


def _versions(model: nn.Module) -> dict[str, int]:
    """How often each parameter was written to; those made in inference mode do not tell."""
    return {name: tensor._version for name, tensor in model.named_parameters() if not tensor.is_inference()}


def _around(model: Any) -> str:
    """How to wrap something that is no module."""
    method = next((name for name in ("predict_proba", "decision_function", "predict") if hasattr(model, name)), None)
    if method is not None:
        return f"PlainModel(model.{method}, num_classes)"
    return "PlainModel(model, num_classes) around a function of tensors or NumPy arrays"


def plain_model(
    function: Callable[[Any], Any], inputs: Tensor, bounds: tuple[float, float], *, output: str | int | None = None
) -> PlainModel:
    """``function``, a module or a function as of :class:`PlainModel`, with the number of classes that its answer shows.

    One that takes batches of one size alone gets them.

    Raises
    ------
    InvalidInput: it does not take ``inputs`` (N, ...), or does not answer with scores (n, K).
    """
    plain = PlainModel(function, 2, bounds, output=output)
    with frozen(plain, 0, inputs.device), torch.no_grad():
        try:
            scores = ask(plain, plain, inputs[:1])
        except AdvplugError:
            raise
        except Exception as error:
            plain = _of_fixed_batch(plain, inputs, error)
            scores = ask(plain, plain, inputs[:1])
        if scores.ndim == 2:
            plain.num_classes = scores.shape[1]
        _check_scores(plain, scores)
    return plain


def _of_fixed_batch(plain: PlainModel, inputs: Tensor, error: Exception) -> PlainModel:
    """``plain``, which refused one input with ``error``, given batches of the one size that it takes."""
    taken = {size for size in (len(inputs), *_SIZES) if size > 1 and _takes(plain, inputs[:1], size)}
    if len(taken) == 1:
        inner = plain if plain.output is not None else plain.module
        return PlainModel(FixedBatch(inner, *taken), 2, plain.bounds)
    shape = tuple(inputs.shape[1:])
    if taken:
        raise InvalidInput(
            f"the model refuses one input of shape {shape} ({_said(error)}) and takes several: its answers depend on "
            "their batch. Give batch normalisation running statistics, or wrap it in FixedBatch(model, size)"
        ) from error
    raise InvalidInput(
        f"the model does not take inputs of shape (1, {', '.join(map(str, shape))}) and dtype {inputs.dtype} "
        f"({_said(error)}); if it takes batches of one size alone, wrap it in FixedBatch(model, size)"
    ) from error


def _takes(plain: PlainModel, example: Tensor, size: int) -> bool:
    try:
        scores = ask(plain, plain, example.expand(size, *example.shape[1:]))
    except Exception:
        return False
    return scores.ndim == 2 and len(scores) == size


def _asked(model: DefendedModel, x: Tensor) -> Tensor:
    """Scores for ``x`` (n, ...), and a message of ours where the model raises an error, or returns something else."""
    try:
        answer: Any = model(inside(model, x))
    except AdvplugError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise InvalidInput(f"the model does not take inputs of shape {tuple(x.shape)}: {_said(error)}") from error
    if not isinstance(answer, Tensor):
        kind = type(answer).__name__
        raise InvalidInput(f"{type(model).__name__}.forward returned a {kind}: return the scores (N, K) alone")
    return answer.to(x.dtype)


def _said(error: Exception) -> str:
    text = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {text[0]}"


def _check_scores(model: DefendedModel, scores: Tensor) -> None:
    if scores.ndim != 2 or len(scores) != 1 or scores.shape[1] < 2:
        raise InvalidInput(f"the model must return logits (N, K) with K >= 2, it returned {tuple(scores.shape)}")
    if model.scores_classes and scores.shape[1] != model.num_classes:
        raise InvalidInput(f"the model says that it has {model.num_classes} classes, it gave {scores.shape[1]} scores")


def _undeclared(gateway: Gateway, few: Tensor) -> frozenset[str]:
    """``stochastic`` or ``batch_dependent``, if answers to ``few`` (n, ...) show it and the model does not say it."""
    model = gateway.model
    if model.stochastic:
        return frozenset()
    few = _with_company(gateway.cast(few), model.bounds)
    first = gateway.scores(few, finite=False)
    again = (gateway.scores(few, finite=False) for _ in range(PASSES - 1))
    if not all(scores_alike(first, other, _REPEATED) for other in again) or _decides_at_random(gateway, few):
        return frozenset({"stochastic"})
    if not model.batch_dependent:
        rows = sorted({0, 1, len(few) // 2, len(few) - 1})
        alone = _each_alone(gateway, few, rows)
        if scores_alike(first[rows], alone, _REPEATED):
            return frozenset()
        if not scores_alike(alone, _each_alone(gateway, few, rows), _REPEATED):
            return frozenset({"stochastic"})
        if not scores_alike(first[rows], alone, gateway.rounding):
            return frozenset({"batch_dependent"})
    return frozenset()


def _each_alone(gateway: Gateway, few: Tensor, rows: list[int]) -> Tensor:
    """Scores (m, K) of m ``rows`` of ``few``, each in a pass of its own."""
    return torch.cat([gateway.scores(few[row : row + 1], finite=False) for row in rows])


def _with_company(few: Tensor, bounds: tuple[float, float]) -> Tensor:
    """``few`` (n, ...) with noise up to ``COMPANY`` inputs: one alone tells nothing of batch-mates."""
    missing = max(0, COMPANY - len(few))
    noise = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(missing, *few.shape[1:]).to(few)
    return torch.cat((few, noise))


def _decides_at_random(gateway: Gateway, few: Tensor) -> bool:
    """Whether a model that rejects inputs decides otherwise on a second look."""
    if not gateway.model.rejects:
        return False
    first, second = gateway.decide(few), gateway.decide(few)
    return not (torch.equal(first.labels, second.labels) and torch.equal(first.accepted, second.accepted))


def _marked(model: DefendedModel, found: frozenset[str]) -> DefendedModel:
    """``model``, or if something was found a copy on the same parameters that says so."""
    if not found:
        return model
    marked = copy.copy(model)
    marked.undeclared = model.undeclared | found
    for name in found:
        try:
            setattr(marked, name, True)
        except AttributeError as error:
            raise InvalidInput(f"the answers of the model say that {name} is True: return that") from error
    return marked
