"""Stand-ins for operations that are flat, or that leave the graph. Each gives NotImplemented where it has none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from advplug.tracing.beside import Beside, Operation, softened, straight

STEEPNESS = 4.0
"""Of the sigmoid that stands for a comparison, in root mean squares of the difference."""


def graph_kept(_beside: Beside, operation: Operation) -> Any:
    """``no_grad`` and the like do nothing."""
    return operation.function(True)


def cut(_beside: Beside, operation: Operation) -> Any:
    """``detach``, and the attribute ``data``, give the tensor itself."""
    if not operation.is_live or (operation.name == "__get__" and not _is_data(operation)):
        return NotImplemented
    return operation.first


def grad_required(_beside: Beside, operation: Operation) -> Any:
    """``requires_grad_`` of what was to be a leaf and, not being cut, is none."""
    return operation.first if operation.is_live and not operation.first.is_leaf else NotImplemented


def left(_beside: Beside, operation: Operation) -> Any:
    """``numpy`` and the like, which torch allows only for tensors outside the graph."""
    return operation.outside() if operation.is_live else NotImplemented


def rounded(_beside: Beside, operation: Operation) -> Any:
    """Rounding and signs: the identity."""
    if not operation.is_live:
        return NotImplemented
    return straight(operation.outside(), operation.first)


def rounded_in_place(_beside: Beside, operation: Operation) -> Any:
    """The same for ``round_`` and its like."""
    if not operation.is_live:
        return NotImplemented
    x = operation.first
    plain = operation.function(x.detach().clone(), *operation.args[1:], **operation.kwargs)
    return x.copy_(straight(plain, x))


def divided(_beside: Beside, operation: Operation) -> Any:
    """Floor division: division."""
    if not operation.is_live:
        return NotImplemented
    return straight(operation.outside(), operation.first / operation.args[1])


def greater(beside: Beside, operation: Operation) -> Any:
    """``a > b``: a sigmoid of ``a - b``."""
    return _compared(beside, operation, 1)


def less(beside: Beside, operation: Operation) -> Any:
    """``a < b``: a sigmoid of ``b - a``."""
    return _compared(beside, operation, -1)


def _compared(beside: Beside, operation: Operation, sign: int) -> Any:
    a, b = (beside.value(one) for one in operation.args[:2])
    if not any(isinstance(one, Tensor) and one.requires_grad for one in (a, b)):
        return NotImplemented
    gap: Tensor = sign * (a - b)
    size = gap.detach().square().mean().sqrt().clamp(min=1e-6)
    # its tails fall off slowly: the slope of a logistic function would be rounded to zero far from the threshold
    return beside.keep(operation(), (1 + F.softsign(STEEPNESS * gap / size)) / 2)


def whole(beside: Beside, operation: Operation) -> Any:
    """A cast to whole numbers or truth values: what was cast stands beside it."""
    stands = beside.value(operation.first)
    result = operation()
    if not isinstance(stands, Tensor) or not stands.requires_grad or not isinstance(result, Tensor):
        return result
    return result if result.is_floating_point() and stands is operation.first else beside.keep(result, stands)


def quantised(beside: Beside, operation: Operation) -> Any:
    """A quantised tensor: what it was made of stands beside it."""
    return beside.keep(operation.outside(), operation.first) if operation.is_live else NotImplemented


def dequantised(beside: Beside, operation: Operation) -> Any:
    """Back from a quantised tensor: what it was made of."""
    stands = beside.value(operation.first)
    return NotImplemented if stands is operation.first else straight(operation.outside(), stands)


def bucketed(beside: Beside, operation: Operation) -> Any:
    """The number of a bucket: how many mean widths the value lies above the lowest edge."""
    x, edges = operation.args[:2] if operation.name == "bucketize" else reversed(operation.args[:2])
    if not (isinstance(x, Tensor) and isinstance(edges, Tensor) and x.requires_grad):
        return NotImplemented
    width = (edges.max() - edges.min()).clamp(min=1e-6) / max(1, edges.shape[-1] - 1)
    return beside.keep(operation.outside(), (x - edges.min()) / width)


def both(beside: Beside, operation: Operation) -> Any:
    """``a & b``: their product."""
    return _logic(beside, operation, lambda a, b: a * b)


def either(beside: Beside, operation: Operation) -> Any:
    """``a | b``: their probabilistic sum."""
    return _logic(beside, operation, lambda a, b: a + b - a * b)


def every(beside: Beside, operation: Operation) -> Any:
    """``all``: the smallest."""
    return _reduced(beside, operation, torch.amin)


def some(beside: Beside, operation: Operation) -> Any:
    """``any``: the largest."""
    return _reduced(beside, operation, torch.amax)


def _reduced(beside: Beside, operation: Operation, extreme: Any) -> Any:
    value = beside.value(operation.first)
    if value is operation.first:
        return NotImplemented
    dim, keep = operation.argument(1, "dim"), operation.argument(2, "keepdim", False)
    value = value.float()
    return beside.keep(operation(), extreme(value) if dim is None else extreme(value, dim, keep))


def neither(beside: Beside, operation: Operation) -> Any:
    """``~a``: one minus it."""
    return _logic(beside, operation, lambda a: 1 - a)


def _logic(beside: Beside, operation: Operation, slope: Any) -> Any:
    values = beside.values_in(operation.args)
    if not any(isinstance(one, Tensor) and one.requires_grad for one in values):
        return NotImplemented
    return beside.keep(operation(), slope(*(one.float() if isinstance(one, Tensor) else one for one in values)))


def sigmoid(_beside: Beside, operation: Operation) -> Any:
    """A sigmoid that does not saturate."""
    return _unsaturated(operation, lambda scaled: (1 + F.softsign(scaled)) / 2)


def tanh(_beside: Beside, operation: Operation) -> Any:
    """A hyperbolic tangent that does not saturate."""
    return _unsaturated(operation, F.softsign)


def _unsaturated(operation: Operation, slope: Any) -> Any:
    if not operation.is_live:
        return NotImplemented
    x = operation.first
    return straight(operation.outside(), slope(x / x.detach().square().mean().sqrt().clamp(min=1e-6)))


def softmax(_beside: Beside, operation: Operation) -> Any:
    """A softmax at a temperature at which it does not saturate."""
    dim = operation.argument(1, "dim")
    if not operation.is_live or dim is None:
        return NotImplemented
    return straight(operation.outside(), softened(operation.first, dim).movedim(-1, dim))


def _is_data(operation: Operation) -> bool:
    return getattr(operation.function, "__self__", None) is Tensor.data
