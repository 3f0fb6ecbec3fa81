"""Operations as a function mode sees them, and what stands beside tensors that cannot be in the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

REQUIRED = object()


@dataclass(frozen=True)
class Operation:
    """One call of a function of torch."""

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> Any:
        """What it gives."""
        return self.function(*self.args, **self.kwargs)

    def outside(self) -> Any:
        """What it gives for tensors that are not in the graph."""
        plain = (one.detach() if isinstance(one, Tensor) else one for one in self.args)
        return self.function(*plain, **self.kwargs)

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.kwargs.get(name, self.args[place] if len(self.args) > place else default)

    @property
    def first(self) -> Any:
        """The first argument."""
        return self.args[0] if self.args else None

    @property
    def is_live(self) -> bool:
        """Whether the first argument is a tensor in the graph."""
        return isinstance(self.first, Tensor) and self.first.requires_grad


@dataclass
class Beside:
    """What stands for tensors outside the graph: a value for numbers and truth values, weights for indices.

    An index into M entries has weights (..., M), in the place of each index a row of how much each entry is meant.
    """

    _values: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)
    _weights: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)

    def keep(self, result: Tensor, slope: Tensor) -> Tensor:
        """``result`` with the gradient of ``slope`` if it can have one, else with ``slope`` beside it."""
        if result.is_floating_point() and not result.is_quantized:
            return straight(result, slope)
        self._values[result] = slope
        return result

    def choose(self, index: Tensor, weights: Tensor) -> None:
        """Put ``weights`` (..., M) beside an index."""
        self._weights[index] = weights

    def value(self, one: Any) -> Any:
        """What stands for a tensor; itself where nothing does."""
        return self._values.get(one, one) if isinstance(one, Tensor) else one

    def weights(self, one: Any) -> Tensor | None:
        """What stands for an index."""
        found: Tensor | None = self._weights.get(one) if isinstance(one, Tensor) else None
        return found

    def values_in(self, arguments: Any) -> Any:
        """``arguments`` with what stands for each tensor in them, also in tuples and lists."""
        return type(arguments)(
            self.values_in(one) if type(one) in (tuple, list) else self.value(one) for one in arguments
        )


def straight(value: Tensor, slope: Tensor) -> Tensor:
    """``value`` with the gradient of ``slope``, a tensor of its shape."""
    return value.detach() + (slope - slope.detach()).to(value.dtype)


def has_gradient(result: Tensor) -> bool:
    """Whether a gradient goes through the operation that gave ``result``."""
    return result.grad_fn is not None and "NotImplemented" not in result.grad_fn.name()


def tensors_in(values: Any) -> Iterator[Tensor]:
    """The tensors among arguments, also in tuples and lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from tensors_in(value)


def softened(scores: Tensor, dim: int, count: int = 1) -> Tensor:
    """Softmax along ``dim``, which becomes the last one, that means the ``count`` largest.

    Its temperature is half the gap between the largest and the last of ``WIDER`` times as many, so that it means these
    and no others, and does not saturate; half the standard deviation where there are no more, or where they are equal.
    """
    scores = scores.movedim(dim, -1)
    spread = scores.detach().std(-1, correction=0, keepdim=True)
    among = WIDER * count
    if among < scores.shape[-1]:
        best = scores.detach().topk(among, -1).values
        gap = best[..., :1] - best[..., -1:]
        spread = torch.where(gap > 0, gap, spread)
    return torch.softmax(SHARPNESS * scores / spread.clamp(min=1e-12), -1)


SHARPNESS = 2.0
"""Of the softmax that stands for an arg max."""

WIDER = 4
"""How many times as many entries as are meant have a share in it."""
