"""Where a gradient dies: the module whose output still has one and whose input has none any more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advplug.engine.gateway import inside
from advplug.engine.problem import Problem
from advplug.model import PlainModel

_FLAT = ("Round", "Floor", "Ceil", "Sign", "Trunc", "Heaviside", "Sgn")
"""Operations of torch whose gradient is zero wherever it is defined, as autograd names them."""


@dataclass
class _Call:
    """One pass through a module: what went in and came out, and the largest gradient of each sample there."""

    name: str
    kind: str
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
        return len(self.into) > 1 and _constant(self.into) and not _constant(self.out_of)


def _constant(gradient: Tensor) -> bool:
    return bool((gradient == gradient[:1]).all())


def where_it_dies(problem: Problem) -> str:
    """The innermost module in which the gradient of the scores is lost, and the operation, if its name is known.

    Such as ``defense.quantise (Quantise, by round)``; "" where none is found: the gradient arrives, or the model is
    one that takes no hooks. A module is named that has no submodule which loses the gradient itself.
    """
    few = problem.at(torch.arange(min(4, len(problem.inputs)), device=problem.inputs.device))
    calls: list[_Call] = []
    with few.gateway() as gateway, ExitStack() as hooks:
        model = gateway.searched
        for name, module in model.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                hooks.callback(module.register_forward_hook(_note(calls, name)).remove)
        x = inside(model, gateway.cast(few.inputs)).requires_grad_()
        with torch.enable_grad():
            scores = model(x)
        if scores.requires_grad:
            weights = torch.linspace(1, 2, scores.shape[1]).to(scores)
            (scores * weights).sum().backward()
    losing = [call for call in calls if call.loses]
    inner = [one for one in losing if not any(_within(other.name, one.name) for other in losing if other is not one)]
    if not inner:
        return ""
    first = inner[-1]  # the hooks of a pass run in the order of the outputs
    operation = _operation(first)
    name = first.name.removeprefix("module").lstrip(".") if isinstance(model, PlainModel) else first.name
    return f"{name or 'the forward pass'} ({first.kind}{f', by {operation}' if operation else ''})"


def _within(inner: str, outer: str) -> bool:
    return inner != outer and (not outer or inner.startswith(f"{outer}."))


def _note(calls: list[_Call], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        after = _tensor_in(output)
        if after is None:
            return
        before = next((value for value in inputs if isinstance(value, Tensor)), None)
        call = _Call(name, type(module).__name__, before, after)
        calls.append(call)
        if before is not None and before.requires_grad:
            before.register_hook(lambda gradient: setattr(call, "into", _added(call.into, gradient)))
        if after.requires_grad:
            after.register_hook(lambda gradient: setattr(call, "out_of", _added(None, gradient)))

    return hook


def _added(earlier: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    """The sum; operations without a derivative, such as quantised ones, pass None for a gradient."""
    if gradient is None:
        return earlier
    return gradient.detach() if earlier is None else earlier + gradient.detach()


def _tensor_in(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list):
        return next((value for value in output if isinstance(value, Tensor)), None)
    return None


def _operation(call: _Call) -> str:
    """What loses the gradient between output and input: a flat operation, or a function of the defense's own."""
    if not call.after.requires_grad:
        return "leaving the graph: detach, argmax, a comparison, NumPy or a cast"
    end = None if call.before is None else call.before.grad_fn
    waiting, seen = [call.after.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or node is end:
            continue
        seen.add(node)
        name = node.name()
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return f"the function {name.removesuffix('Backward')}, which has a backward pass of its own"
        if any(name.startswith(flat) for flat in _FLAT):
            return name.partition("Backward")[0].lower()
        waiting += [before for before, _ in node.next_functions]
    return ""
