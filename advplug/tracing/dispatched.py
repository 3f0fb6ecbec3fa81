"""Operations of torch's dispatcher, such as ``aten::_softmax``, under the names and arguments of torch's functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from advplug.tracing.beside import Operation

NAMES = {"_softmax": "softmax", "_to_copy": "to"}

PAIRS = ("topk", "sort", "max", "min", "mode")
"""Their two results have names where a function of torch gives them."""


def operation_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
    """A call as a function mode sees it; one of an operation of the dispatcher as that of torch's function."""
    if not isinstance(function, OpOverload):
        return Operation(function, getattr(function, "__name__", ""), args, kwargs)
    name = bare_name(function)
    if name == "embedding":
        table, index, *others = args
        return Operation(partial(_swapped, function), name, (index, table, *others), kwargs)
    if name == "index" and len(args[1]) == 1 and isinstance(args[1][0], Tensor):
        return Operation(partial(_of_one_index, function), "__getitem__", (args[0], args[1][0]), kwargs)
    called: Callable[..., Any] = partial(_named, name, function) if name in PAIRS else function
    return Operation(called, NAMES.get(name, name), args, kwargs)


def bare_name(function: OpOverload) -> str:
    """``round`` of ``aten::round.decimals``."""
    return str(function._schema.name).partition("::")[2]


def _swapped(function: Callable[..., Any], first: Any, second: Any, *others: Any, **named: Any) -> Any:
    return function(second, first, *others, **named)


def _of_one_index(function: Callable[..., Any], table: Tensor, index: Tensor) -> Any:
    return function(table, [index])


def _named(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    found = function(*args, **kwargs)
    return getattr(torch.return_types, name)(found) if type(found) is tuple else found
