"""Custom functions of autograd without their own backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class _Context:
    """What a forward pass may do with its context."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.needs_input_grad = tuple(isinstance(one, Tensor) and one.requires_grad for one in arguments)
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *_: Any) -> None: ...

    def mark_non_differentiable(self, *_: Any) -> None: ...

    def set_materialize_grads(self, _: bool) -> None: ...


@contextmanager
def opened_functions() -> Iterator[None]:
    """Inside, autograd goes through the forward pass of each ``torch.autograd.Function``.

    A function whose ``apply`` was stored before, instead of being looked up in its class, keeps its backward pass.
    """
    kept = torch.autograd.Function.__dict__["apply"]

    def apply(function: Any, *arguments: Any, **named: Any) -> Any:
        if function.setup_context is not torch.autograd.Function.setup_context:
            return function.forward(*arguments, **named)
        return function.forward(_Context(arguments), *arguments, **named)

    torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        torch.autograd.Function.apply = kept  # type: ignore[method-assign]
