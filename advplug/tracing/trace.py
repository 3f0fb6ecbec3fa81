"""One forward and one backward pass of a model, module by module: what goes in and comes out, and which gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advplug.model import PlainModel
from advplug.tracing.eager import uncompiled

FLAT = ("Round", "Floor", "Ceil", "Sign", "Trunc", "Heaviside", "Sgn")
"""Operations of torch whose gradient is zero wherever it is defined, as autograd names them."""


@dataclass
class Call:
    """One pass through a module: what went in and came out, and the gradients of the scores there."""

    name: str
    kind: str
    module: nn.Module
    before: Tensor | None
    after: Tensor
    into: Tensor | None = None
    out_of: Tensor | None = None

    @property
    def loses(self) -> bool:
        """Whether its output has a gradient and its input has none, or the same one for all samples."""
        if self.before is None or not self.before.is_floating_point():
            return False
        if not self.after.requires_grad:
            return self.before.requires_grad
        if self.out_of is None or not bool((self.out_of != 0).any()):
            return False
        if self.into is None or not bool((self.into != 0).any()):
            return True
        return self.is_constant

    @property
    def is_constant(self) -> bool:
        """Whether the gradient at its input is the same for all samples, and that at its output is not."""
        if self.into is None or self.out_of is None or len(self.into) < 2:
            return False
        return _constant(self.into) and not _constant(self.out_of)

    @property
    def functions(self) -> tuple[str, ...]:
        """Custom functions between input and output, which have a backward pass of their own."""
        return tuple(_name(node) for node in self._nodes() if _is_custom(node))

    @property
    def operation(self) -> str:
        """What loses the gradient between output and input: a flat operation, or a function of the defense's own."""
        if not self.after.requires_grad:
            return "leaving the graph: detach, argmax, a comparison, NumPy or a cast"
        for node in self._nodes():
            if _is_custom(node):
                return f"the function {_name(node)}, which has a backward pass of its own"
            if _name(node) in FLAT:
                return _name(node).lower()
        return ""

    def _nodes(self) -> Iterator[Any]:
        """The nodes of the graph from the output back to the input."""
        end = None if self.before is None else self.before.grad_fn
        waiting, seen = [self.after.grad_fn], set[Any]()
        while waiting:
            node = waiting.pop()
            if node is None or node in seen or node is end:
                continue
            seen.add(node)
            yield node
            waiting += [before for before, _ in node.next_functions]


def _is_custom(node: Any) -> bool:
    return isinstance(node, torch.autograd.function.BackwardCFunction)


def _name(node: Any) -> str:
    """``Round`` of ``RoundBackward0``, the class of a custom function."""
    return str(node.name()).partition("Backward")[0]


def trace(model: nn.Module, x: Tensor) -> tuple[list[Call], Tensor]:
    """All calls of modules in the order of their ends, for ``x`` (n, ...) that requires a gradient; and the scores.

    A model inside is seen as it is, a scripted one not at all.
    """
    calls: list[Call] = []
    with ExitStack() as hooks:
        for name, module in named_modules(model):
            hooks.callback(module.register_forward_hook(_note(calls, name)).remove)
        with torch.enable_grad(), uncompiled():
            scores = model(x)
        if scores.requires_grad:
            weights = torch.linspace(1, 2, scores.shape[1]).to(scores)
            (scores * weights).sum().backward()
    return calls, scores


def named_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules that take hooks, by the names they have in what the user wrote; the model itself is "".

    The wrapper around a plain module has no name and no place of its own.
    """
    modules = user_module(model).named_modules()
    return [(name, one) for name, one in modules if not isinstance(one, torch.jit.ScriptModule)]


def user_module(model: nn.Module) -> nn.Module:
    """What the user wrote: a plain module without the wrapper around it."""
    if isinstance(model, PlainModel) and isinstance(model.module, nn.Module):
        return model.module
    return model


def _note(calls: list[Call], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        after = tensor_in(output)
        if after is None:
            return
        before = next((value for value in inputs if isinstance(value, Tensor)), None)
        call = Call(name, type(module).__name__, module, before, after)
        calls.append(call)
        if before is not None and before.requires_grad:
            before.register_hook(lambda gradient: setattr(call, "into", _added(call.into, gradient)))
        if after.requires_grad:
            after.register_hook(lambda gradient: setattr(call, "out_of", _added(None, gradient)))

    return hook


def tensor_in(output: Any) -> Tensor | None:
    """The first tensor of an answer."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list):
        return next((value for value in output if isinstance(value, Tensor)), None)
    return None


def within(inner: str, outer: str) -> bool:
    """Whether a module is deep inside another, by their names."""
    return inner != outer and (not outer or inner.startswith(f"{outer}."))


def _constant(gradient: Tensor) -> bool:
    return bool((gradient == gradient[:1]).all())


def _added(earlier: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    """The sum; operations without a derivative, such as quantised ones, pass None for a gradient."""
    if gradient is None:
        return earlier
    return gradient.detach() if earlier is None else earlier + gradient.detach()
