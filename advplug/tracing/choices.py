"""Stand-ins for indices: an arg max is a softmax, and what it selects a weighted mean."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from advplug.tracing.beside import Beside, Operation, softened, straight


def arg_max(beside: Beside, operation: Operation) -> Any:
    """The index of the largest entry along a dimension."""
    return _arg_extreme(beside, operation, 1)


def arg_min(beside: Beside, operation: Operation) -> Any:
    """The index of the smallest entry along a dimension."""
    return _arg_extreme(beside, operation, -1)


def _arg_extreme(beside: Beside, operation: Operation, sign: int) -> Any:
    dim = operation.argument(1, "dim")
    if not operation.is_live or dim is None:
        return NotImplemented
    result, weights = operation(), softened(sign * operation.first, dim)
    beside.choose(result, weights.unsqueeze(dim) if operation.argument(2, "keepdim", False) else weights)
    return result


def ranked(beside: Beside, operation: Operation) -> Any:
    """``topk``, ``sort`` and the extremes along a dimension, whose values have a gradient: so do their indices."""
    if not operation.is_live:
        return NotImplemented
    result = operation()
    indices = getattr(result, "indices", None)
    if indices is None:
        return result
    scores: Tensor = operation.first
    dim = operation.argument(2 if operation.name == "topk" else 1, "dim", -1) % scores.ndim
    falls = {
        "topk": operation.argument(3, "largest", True),
        "sort": operation.argument(2, "descending", False),
        "max": True,
        "min": False,
    }[operation.name]
    count = operation.argument(1, "k") if operation.name == "topk" else 1
    weights = softened(scores if falls else -scores, dim, count)
    if indices.ndim < scores.ndim:
        beside.choose(indices, weights)
    elif dim == scores.ndim - 1:  # each of the best k means any of them
        beside.choose(indices, weights.unsqueeze(dim).expand(*indices.shape, -1))
    return result


def one_hot(beside: Beside, operation: Operation) -> Any:
    """The weights themselves."""
    return _kept_as(beside, operation, beside.weights(operation.first))


def equal(beside: Beside, operation: Operation) -> Any:
    """``index == k``, ``index == other``, and ``index[..., None] == arange(K)``, which is one-hot by hand."""
    return _kept_as(beside, operation, _likeness(beside, *operation.args[:2]))


def unequal(beside: Beside, operation: Operation) -> Any:
    """The complement of :func:`equal`."""
    likeness = _likeness(beside, *operation.args[:2])
    return _kept_as(beside, operation, None if likeness is None else 1 - likeness)


def _kept_as(beside: Beside, operation: Operation, slope: Tensor | None) -> Any:
    """The result with ``slope`` beside it; NotImplemented without one."""
    if slope is None:
        return NotImplemented
    result = operation()
    return beside.keep(result, slope) if slope.shape == result.shape else result


def _likeness(beside: Beside, index: Any, other: Any) -> Tensor | None:
    """How much two indices mean the same; None where nothing stands for either."""
    weights, others = beside.weights(index), beside.weights(other)
    if weights is None:
        return None if others is None else _likeness(beside, other, index)
    if others is not None:
        return (weights * others).sum(-1) if weights.shape[-1] == others.shape[-1] else None
    if isinstance(other, int):
        return weights[..., other]
    if not isinstance(other, Tensor):
        return None
    if other.shape == weights.shape[:-1] and not other.is_floating_point():
        return weights.gather(-1, other.long().unsqueeze(-1)).squeeze(-1)
    by_hand = other.shape == weights.shape[-1:] and weights.shape[-2:-1] == (1,)
    return weights.squeeze(-2) if by_hand else None


def most_frequent(beside: Beside, operation: Operation) -> Any:
    """The mode of several indices: the mean of their weights."""
    weights = beside.weights(operation.first)
    if weights is None:
        return NotImplemented
    result = operation()
    beside.choose(result.values, weights.mean(-2))
    return result


def looked_up(beside: Beside, operation: Operation) -> Any:
    """``table[index]``: the mean of the table, or its slope at a number of a bucket."""
    table, index = operation.args[:2]
    if not isinstance(table, Tensor) or not isinstance(index, Tensor):
        return NotImplemented
    weights = beside.weights(index)
    if weights is not None and weights.shape[-1] == len(table):
        return _mean_of(beside, operation, table, weights)
    number = beside.value(index)
    if number is not index and table.is_floating_point() and index.dtype not in (torch.bool, torch.uint8):
        last = len(table) - 1
        rises = (table[(index + 1).clamp(max=last)] - table[(index - 1).clamp(min=0)]).detach() / 2
        return straight(operation.outside(), rises * number.reshape(*number.shape, *(1,) * (table.ndim - 1)))
    return NotImplemented


def _mean_of(beside: Beside, operation: Operation, table: Tensor, weights: Tensor) -> Any:
    result = operation()
    if table.is_floating_point():
        return straight(result, torch.tensordot(weights, table, 1))
    if table.ndim == 1 and int(table.min()) >= 0:  # of labels, which are indices again
        beside.choose(result, weights @ F.one_hot(table.long()).to(weights))
    return result


def embedded(beside: Beside, operation: Operation) -> Any:
    """``embedding(index, table)`` and ``index_select(table, 0, index)``: the mean of the table."""
    if operation.name == "embedding":
        index, table = operation.argument(0, "input"), operation.argument(1, "weight")
    elif operation.argument(1, "dim") == 0:
        index, table = operation.argument(2, "index"), operation.first
    else:
        return NotImplemented
    weights = beside.weights(index)
    if weights is None or weights.shape[-1] != len(table):
        return NotImplemented
    return _mean_of(beside, operation, table, weights)


def scattered(beside: Beside, operation: Operation) -> Any:
    """``zeros.scatter(dim, index, value)``, which is one-hot by hand: the weights of all indices, times the value."""
    dim, index = operation.argument(1, "dim"), operation.argument(2, "index")
    value = operation.argument(3, "value", operation.argument(3, "src"))
    weights = beside.weights(index)
    if weights is None or isinstance(value, Tensor) or dim % index.ndim != index.ndim - 1:
        return NotImplemented
    result = operation()
    if weights.shape[-1] != result.shape[-1]:
        return result
    if not result.is_floating_point():
        return beside.keep(result, value * weights.sum(-2))
    found = straight(result, value * weights.sum(-2))
    return operation.first.copy_(found) if operation.name == "scatter_" else found


def moved(beside: Beside, operation: Operation, result: Tensor) -> Tensor:
    """An index that only changes its shape keeps its weights: each column of them moves as it does."""
    weights = beside.weights(operation.first)
    if weights is None or result.is_floating_point():
        return result
    columns = [operation.function(one, *operation.args[1:], **operation.kwargs) for one in weights.unbind(-1)]
    if columns[0].shape == result.shape:
        beside.choose(result, torch.stack(columns, -1))
    return result
