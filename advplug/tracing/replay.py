"""A forward pass from the operations that torch's dispatcher saw: also those of code that takes no hooks.

Modules that TorchScript scripted or traced, and operations in C++, show nothing to hooks and function modes. The
dispatcher sees each of their operations. A :class:`Tape` notes them in one pass; then they run again one by one, where
a function mode sees them, so that those that lose the gradient get a slope.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from advplug.errors import InvalidInput
from advplug.tracing.beside import has_gradient, straight
from advplug.tracing.dispatched import bare_name
from advplug.tracing.probed import past
from advplug.tracing.shapes import bridged

Function = Callable[[Tensor], Tensor]

OWN = ("aten", "prim", "prims")
"""Where the operations of torch itself are; of these torch knows which have a gradient."""


def replayed(
    model: nn.Module, function: Function, x: Tensor, mode: AbstractContextManager[Any], exit_: str = ""
) -> tuple[Tensor, Tensor]:
    """What ``function`` of ``model`` gives for ``x`` (n, ...); and what its operations give, run again inside ``mode``.

    Where the answer has no gradient all the same, the last result of its shape that has one takes its place; with an
    ``exit_`` the last result of the operation of that name.

    Raises
    ------
    InvalidInput: the operations do not give the same answer again, or change tensors that outlast the pass; or none
        that gives scores has that name.
    """
    start = x.clone()
    with torch.jit.optimized_execution(False), Tape(x) as tape:  # type: ignore[attr-defined]
        answer = function(x)
    if tape.own_change:
        raise InvalidInput(f"the model changes a tensor of its own by {tape.own_change}: leave replayed out")
    with mode:
        found = tape.replayed(model, start, answer)
    if not torch.allclose(found.detach().to(answer.dtype), answer.detach(), rtol=1e-3, atol=1e-5, equal_nan=True):
        raise InvalidInput("the operations of the model give another answer when they run again: leave replayed out")
    if exit_ and (exit_, answer.shape) not in tape.results:
        raise InvalidInput(f"no operation {exit_!r} gives scores: choose among {', '.join(tape.names(answer.shape))}")
    if exit_ or not found.requires_grad:
        found = tape.results.get((exit_, answer.shape), found)
    return answer.detach(), found


def score_operations(model: nn.Module, x: Tensor) -> list[str]:
    """The names of the operations of ``model`` that give (n, K) for ``x`` (n, ...), the last one first."""
    with torch.enable_grad(), torch.jit.optimized_execution(False), Tape(x) as tape:  # type: ignore[attr-defined]
        answer = model(x)
    found = [note for note in reversed(tape.notes) if any(one.shape == answer.shape for one in tensors(note.result))]
    return list(dict.fromkeys(bare_name(note.function) for note in found))


@dataclass(frozen=True)
class Note:
    """One operation: what it was given, and what it gave; ``drawn`` copies of that where it is random."""

    function: OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    drawn: Any = None

    def __call__(self) -> Any:
        """Run it; a random one draws what it drew before."""
        return self.function(*self.args, **self.kwargs) if self.drawn is None else _drawn(self)


class Tape(TorchDispatchMode):
    """Notes the operations of a pass that starts with ``x``."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.x, self.notes = x, list[Note]()
        self.results = dict[tuple[str, torch.Size], Tensor]()
        """The last result with a gradient of each operation and shape when they ran again; "" for any operation."""
        self.own_change = ""
        """An operation that changed a tensor which was there before; an interpreter of scripts would hide an error."""
        self._made = {_memory(x)}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for changed in _changed(func, args, kwargs):
            if _memory(changed) not in self._made:
                self.own_change = str(func)
        result = func(*args, **kwargs)
        random = torch.Tag.nondeterministic_seeded in func.tags
        self.notes.append(Note(func, args, kwargs, result, tree_map(_copied, result) if random else None))
        given = {_memory(one) for one in tensors(args, kwargs)}
        self._made |= {_memory(one) for one in tensors(result)} - (given - self._made)
        return result

    def replayed(self, model: nn.Module, x: Tensor, answer: Tensor) -> Tensor:
        """What became of ``answer`` when all operations ran again at ``x``."""
        live: dict[Hashable, Tensor] = {_key(self.x): x}

        def current(one: Any) -> Any:
            return live.get(_key(one), one) if isinstance(one, Tensor) else one

        for place, note in enumerate(self.notes):
            call = replace(note, args=tree_map(current, note.args), kwargs=tree_map(current, note.kwargs))
            found = call()
            if note.function.namespace not in OWN and isinstance(found, Tensor):
                found = _reconnected(model, place, call, found)
            for before, after in zip(tensors(note.result), tensors(found), strict=True):
                live[_key(before)] = after
                if after.requires_grad and after.is_floating_point():
                    for name in ("", bare_name(note.function)):
                        self.results[name, after.shape] = after
        found = current(answer)
        assert isinstance(found, Tensor)
        return found

    def names(self, shape: torch.Size) -> list[str]:
        """The operations that gave something of that shape with a gradient."""
        return [name for name, each in self.results if name and each == shape]


def tensors(*values: Any) -> list[Tensor]:
    """All tensors in arguments or results, however deep."""
    return [one for one in tree_leaves(values) if isinstance(one, Tensor)]


def _drawn(call: Note) -> Any:
    """Random numbers as they were drawn: a coin has the slope of its probability, dropout that of its mask."""
    name, first = bare_name(call.function), call.args[0] if call.args else None
    if isinstance(first, Tensor) and any(one is first for one in _changed(call.function, call.args, {})):
        return first.copy_(call.drawn)
    if not isinstance(first, Tensor) or not first.requires_grad:
        return call.drawn
    if name == "native_dropout":
        values, mask = call.drawn
        return straight(values, first * mask / max(1e-12, 1 - call.args[1])), mask
    return straight(call.drawn, first) if name == "bernoulli" else call.drawn


def _reconnected(model: nn.Module, place: int, call: Note, found: Tensor) -> Tensor:
    """What an operation of somebody's own gave, with a gradient if it has none."""
    source = next((one for one in tensors(call.args, call.kwargs) if one.requires_grad and one.ndim > 1), None)
    if source is None or not found.is_floating_point() or not found.ndim or _is_differentiable(found, source):
        return found
    if source is not call.args[0]:
        return bridged(found, source)
    with torch._C.DisableTorchFunction():
        return past(model, source, found.detach(), lambda one: call.function(one, *call.args[1:], **call.kwargs), place)


def _is_differentiable(found: Tensor, source: Tensor) -> bool:
    """Whether a gradient that is not zero leads from one tensor back to the other."""
    if not has_gradient(found):
        return False
    try:
        (gradient,) = torch.autograd.grad(found.sum(), source, retain_graph=True, allow_unused=True)
    except RuntimeError:  # torch has no formula for the operation, and says so in the backward pass alone
        return False
    return gradient is not None and bool((gradient != 0).any())


def _changed(function: OpOverload, args: Any, kwargs: Any) -> Iterator[Tensor]:
    """The tensors that an operation writes to."""
    for place, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from tensors(args[place] if place < len(args) else kwargs.get(argument.name))


def _copied(one: Any) -> Any:
    return one.detach().clone() if isinstance(one, Tensor) else one


def _memory(one: Tensor) -> Hashable:
    """What tells the memory of a tensor from that of others that live at the same time."""
    return one.untyped_storage()._cdata if one.layout == torch.strided else id(one)


def _key(one: Tensor) -> Hashable:
    """What two tensors share that are the same numbers in the same memory, such as one and what is detached from it."""
    if one.layout != torch.strided:
        return id(one)
    return _memory(one), one.dtype, one.storage_offset(), one.shape, one.stride()
