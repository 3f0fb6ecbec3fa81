"""A gradient network: one forward pass of a model, with another backward pass (BPDA without anybody's surrogate).

The pass itself is the model's own. Three things differ on the way back:

1. operations and custom functions that lose the gradient get a slope (:mod:`advplug.tracing.operations`);
2. a module whose input has left the graph, through NumPy for example, gets it straight from the last activation of its
   shape that is in it, at the outset from the input itself;
3. the scores are those of an inner module where the model's own answer has no gradient: last layers are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput, near
from advplug.model import DefendedModel
from advplug.tracing.beside import has_gradient
from advplug.tracing.eager import uncompiled
from advplug.tracing.functions import opened_functions
from advplug.tracing.operations import SoftOperations
from advplug.tracing.probed import past
from advplug.tracing.replay import replayed
from advplug.tracing.shapes import bridged, in_batches
from advplug.tracing.trace import named_modules, within

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class GradientNetwork:
    """Another backward pass for ``model``.

    Parameters
    ----------
    exit: name of the module whose outputs are the scores; "" for the answer of the model, or, where that has no
        gradient, the outermost of the last modules that give scores.
    bridge: names of modules whose outputs take the gradient straight to their inputs.
    operations: give flat operations a slope.
    unsaturated: the same for functions that saturate, such as a sigmoid.
    functions: let autograd go through the forward pass of custom functions, instead of their own backward pass.
    replayed: run the operations that the dispatcher saw again, also those of scripted code; modules play no part, and
        ``exit`` names an operation, such as addmm.
    """

    model: DefendedModel
    exit: str = ""
    bridge: tuple[str, ...] = ()
    operations: bool = True
    unsaturated: bool = False
    functions: bool = True
    replayed: bool = False

    def __post_init__(self) -> None:
        known = [name for name, _ in named_modules(self.model)]
        for name in self.bridge if self.replayed else (self.exit, *self.bridge):
            if name and name not in known:
                inner = ", ".join(one for one in known if one) or "none"
                raise InvalidInput(f"the model has no module {name!r}{near(name, known)}: choose among {inner}")

    def __call__(self, function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
        """``function(x)`` of the model as it is, and with the gradient.

        Where ``function`` is the model itself, the second are the scores (n, K) of the exit.
        """
        slopes = SoftOperations(unsaturated=self.unsaturated) if self.operations else nullcontext()
        if self.replayed:
            with torch.enable_grad(), uncompiled():
                return replayed(self.model, function, x, slopes, self.exit if function is self.model else "")
        with torch.enable_grad(), uncompiled(), ExitStack() as stack:
            passing = _Pass(self, x)
            stack.enter_context(_hooked(self.model, passing))
            if self.functions:
                stack.enter_context(opened_functions())
            stack.enter_context(slopes)
            answer = function(x)
        return answer.detach(), passing.scores(answer) if function is self.model else answer


@dataclass
class _Pass:
    """What is known of one forward pass while it runs."""

    network: GradientNetwork
    x: Tensor
    latest: dict[tuple[int, ...], Tensor] = field(default_factory=dict)
    found: list[tuple[str, Tensor]] = field(default_factory=list)
    entered: list[int] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.note(self.x)

    def note(self, value: Any) -> None:
        """Remember an activation that is in the graph."""
        if isinstance(value, Tensor) and value.requires_grad and value.ndim > 1:
            self.latest[tuple(value.shape[1:])] = value

    def before(self, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The inputs of a module, reconnected if the first has left the graph; None leaves them as they are."""
        self.calls += 1
        self.entered.append(self.calls)
        if not inputs or not self.is_lost(inputs[0]):
            for value in inputs:
                self.note(value)
            return None
        found = bridged(inputs[0], self.latest.get(tuple(inputs[0].shape[1:]), self.x))
        self.note(found)
        return (found, *inputs[1:])

    def is_lost(self, value: Any) -> bool:
        """Whether an input has no gradient and belongs to the samples; what is the same for all is a constant."""
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.requires_grad or value.ndim < 2:
            return False
        return len(value) % len(self.x) == 0 and (len(value) == 1 or bool((value != value[:1]).any()))

    def after(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
        """Note what a module gives, and whether it is the scores; returned where another gradient takes its place."""
        changed, innermost = None, self.entered.pop() == self.calls
        ends = innermost and gradient_ends(inputs, output)
        if ends or (name in self.network.bridge and tensors_through(inputs, output)):
            output = changed = past(module, inputs[0], output)
        self.note(output)
        if name and gives_scores(output, len(self.x), self.network.model.num_classes):
            if self.network.exit:
                self.found += [(name, output)] if name == self.network.exit else []
            elif output.requires_grad:  # of an outer module rather than of what is inside it
                self.found = [one for one in self.found if not within(one[0], name)]
                self.found.append((name, output))
        return changed

    def scores(self, answer: Tensor) -> Tensor:
        """The scores that gradients come from: the mean of several calls, and of several copies of the input."""
        if not self.network.exit and answer.requires_grad:
            return answer
        calls = [per_input(output, len(self.x)) for name, output in self.found if name == self.found[-1][0]]
        return torch.stack(calls).mean(0).to(answer.dtype) if calls else answer


def tensors_through(inputs: tuple[Any, ...], output: Any) -> bool:
    """Whether a module gives a tensor for a tensor."""
    return bool(inputs) and isinstance(inputs[0], Tensor) and isinstance(output, Tensor)


def gradient_ends(inputs: tuple[Any, ...], output: Any) -> bool:
    """Whether the gradient ends in a module, such as one that computes in whole numbers."""
    if not tensors_through(inputs, output) or not inputs[0].requires_grad or not output.is_floating_point():
        return False
    return not has_gradient(output)


def gives_scores(output: Any, count: int, classes: int) -> bool:
    """Whether ``output`` is (m * count, classes): scores, for each input or for several copies of it."""
    whole = isinstance(output, Tensor) and output.ndim == 2 and output.is_floating_point()
    return whole and output.shape[1] == classes and len(output) > 0 and len(output) % count == 0


def per_input(output: Tensor, count: int) -> Tensor:
    """(m * count, K) as the mean over the m copies of each input."""
    if in_batches(output, count):
        return output.reshape(-1, count, output.shape[1]).mean(0)
    return output.reshape(count, -1, output.shape[1]).mean(1)


@contextmanager
def _hooked(model: nn.Module, passing: _Pass) -> Iterator[None]:
    """Hooks that see the operations of the model alone stood in for, not their own."""

    def before(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        with torch._C.DisableTorchFunction():
            return passing.before(inputs)

    def after(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], Tensor | None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
            with torch._C.DisableTorchFunction():
                return passing.after(name, module, inputs, output)

        return hook

    with ExitStack() as hooks:
        for name, module in named_modules(model):
            hooks.callback(module.register_forward_pre_hook(before).remove)
            hooks.callback(module.register_forward_hook(after(name)).remove)
        yield
