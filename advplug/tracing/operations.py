"""Stand-ins for operations that lose the gradient: the values stay, the backward pass gets a slope.

A function mode of torch sees every operation of a forward pass, in modules and between them. Where one would end the
gradient it gives the real result, with the gradient of something smooth: the identity for rounding, a sigmoid for a
comparison, a softmax for an arg max. Whole numbers and truth values carry no gradient in torch; what stands for them
is kept beside them, and comes back into the graph when they become floating-point numbers again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from advplug.tracing import choices, flat
from advplug.tracing.beside import Beside, Operation, tensors_in
from advplug.tracing.dispatched import operation_of

StandIn = Callable[[Beside, Operation], Any]


def _named(names: str, stand_in: StandIn) -> dict[str, StandIn]:
    return dict.fromkeys(names.split(), stand_in)


STAND_INS: Mapping[str, StandIn] = {
    **_named("_set_grad_enabled", flat.graph_kept),
    **_named("detach detach_ __get__", flat.cut),
    **_named("requires_grad_", flat.grad_required),
    **_named("numpy __array__ tolist item __float__ __int__ __bool__ __index__", flat.left),
    **_named("round floor ceil trunc fix sign sgn heaviside", flat.rounded),
    **_named("round_ floor_ ceil_ trunc_ fix_ sign_ sgn_", flat.rounded_in_place),
    **_named("floor_divide __floordiv__", flat.divided),
    **_named("gt ge __gt__ __ge__ greater greater_equal", flat.greater),
    **_named("lt le __lt__ __le__ less less_equal", flat.less),
    **_named("logical_and __and__ bitwise_and", flat.both),
    **_named("logical_or __or__ bitwise_or", flat.either),
    **_named("all", flat.every),
    **_named("any", flat.some),
    **_named("logical_not __invert__ bitwise_not", flat.neither),
    **_named("long int short byte bool char to type", flat.whole),
    **_named("quantize_per_tensor quantize_per_tensor_dynamic quantize_per_channel", flat.quantised),
    **_named("dequantize", flat.dequantised),
    **_named("bucketize searchsorted", flat.bucketed),
    **_named("argmax", choices.arg_max),
    **_named("argmin", choices.arg_min),
    **_named("topk sort max min", choices.ranked),
    **_named("one_hot", choices.one_hot),
    **_named("eq __eq__", choices.equal),
    **_named("ne __ne__", choices.unequal),
    **_named("mode", choices.most_frequent),
    **_named("__getitem__", choices.looked_up),
    **_named("embedding index_select", choices.embedded),
    **_named("scatter scatter_", choices.scattered),
}
"""By the name that torch gives the operation."""


SATURATING: Mapping[str, StandIn] = {
    **_named("sigmoid", flat.sigmoid),
    **_named("tanh", flat.tanh),
    **_named("softmax", flat.softmax),
    **_named("clamp clip hardtanh", flat.rounded),
}
"""They have a gradient, which is next to nothing for scores that lie far apart."""


class SoftOperations(TorchFunctionMode):
    """Inside, operations that lose the gradient have one, and nothing switches gradients off.

    Parameters
    ----------
    unsaturated: the same for functions that saturate.
    """

    def __init__(self, *, unsaturated: bool = False) -> None:
        super().__init__()
        self._beside = Beside()
        self._stand_ins = {**STAND_INS, **SATURATING} if unsaturated else STAND_INS

    def value(self, result: Tensor) -> Tensor:
        """What stands for a tensor outside the graph; itself where nothing does."""
        found: Tensor = self._beside.value(result)
        return found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operation = operation_of(func, args, kwargs or {})
        stand_in = self._stand_ins.get(operation.name)
        if stand_in is not None:
            result = stand_in(self._beside, operation)
            if result is not NotImplemented:
                return result
        return self._carried_over(operation)

    def _carried_over(self, operation: Operation) -> Any:
        """Any other operation. What stands for whole numbers among its arguments goes through the same operation."""
        beside, result = self._beside, operation()
        if not isinstance(result, Tensor):
            return result
        outside = [one for one in tensors_in(operation.args) if not one.requires_grad]
        has_weights = any(beside.weights(one) is not None for one in outside)
        if not has_weights and all(beside.value(one) is one for one in outside):
            return result
        try:
            if has_weights:
                return choices.moved(beside, operation, result)
            slope = operation.function(*beside.values_in(operation.args), **operation.kwargs)
        except (RuntimeError, TypeError, IndexError, ValueError):  # it is defined for whole numbers alone
            return result
        same = isinstance(slope, Tensor) and slope.shape == result.shape and slope.requires_grad
        return beside.keep(result, slope) if same else result
