"""Where a gradient dies: the module whose output still has one and whose input has none any more."""

from __future__ import annotations

import torch

from advplug.engine.gateway import inside
from advplug.engine.problem import Problem
from advplug.tracing.trace import trace, within


def where_it_dies(problem: Problem) -> str:
    """The innermost module in which the gradient of the scores is lost, and the operation, if its name is known.

    Such as ``defense.quantise (Quantise, by round)``; "" where none is found: the gradient arrives, or the model is
    one that takes no hooks. A module is named that has no submodule which loses the gradient itself.
    """
    few = problem.at(torch.arange(min(4, len(problem.inputs)), device=problem.inputs.device))
    with few.gateway() as gateway:
        model = gateway.searched
        calls, _ = trace(model, inside(model, gateway.cast(few.inputs)).requires_grad_())
    losing = [call for call in calls if call.loses]
    inner = [one for one in losing if not any(within(other.name, one.name) for other in losing if other is not one)]
    if not inner:
        return ""
    first = inner[-1]  # the hooks of a pass run in the order of the outputs
    operation = first.operation
    return f"{first.name or 'the forward pass'} ({first.kind}{f', by {operation}' if operation else ''})"
