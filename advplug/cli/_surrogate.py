"""``--surrogate``: a differentiable stand-in for a model that offers none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from advplug.cli._named import read_function
from advplug.errors import InvalidInput
from advplug.intake.code import said
from advplug.model import Capabilities, PlainModel

if TYPE_CHECKING:
    from advplug.evaluation import Job

_OFFERS = {field.name for field in fields(Capabilities)}


class Declared(nn.Module):
    """``module`` as it is, which offers ``surrogate(x)`` besides all that it offers itself."""

    def __init__(self, module: Callable[[Any], Any], surrogate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self.surrogate = module, surrogate

    def forward(self, x: Any) -> Any:
        return self.module(x)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name) if name in _OFFERS else super().__getattr__(name)


def with_surrogate(job: Job, name: str) -> Job:
    """``job`` with ``package.module:callable``, a module or function from inputs to scores, as its model's surrogate.

    Raises
    ------
    InvalidInput: there is no such function, it does not give scores like the model's, or they have no gradient.
    """
    found, model, inputs = read_function(name), job.model, job.images.inputs
    if isinstance(found, nn.Module):
        found = found.to(inputs.device).eval().requires_grad_(False)

    def surrogate(x: Tensor) -> Tensor:
        own = next(found.parameters(), None) if isinstance(found, nn.Module) else None
        scores: Tensor = found(x if own is None else x.to(own.dtype))
        return scores

    _check(name, surrogate, inputs[:1], model.num_classes)
    if isinstance(model, PlainModel):
        model.module = Declared(model.module, surrogate)
    else:
        setattr(model, "surrogate", surrogate)  # noqa: B010
    return replace(job, model=model)


def _check(name: str, surrogate: Callable[[Tensor], Tensor], example: Tensor, classes: int) -> None:
    """Refuse a stand-in that gives no scores (1, ``classes``) for one input, or none with a gradient."""
    try:
        with torch.enable_grad():
            scores = surrogate(example.clone().requires_grad_())
    except (Exception, SystemExit) as error:
        shape = tuple(example.shape)
        raise InvalidInput(f"--surrogate {name} does not take inputs of shape {shape}: {said(error)}") from error
    if not isinstance(scores, Tensor) or tuple(scores.shape) != (1, classes):
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise InvalidInput(f"--surrogate {name} must return scores (N, {classes}) as the model does, not {shape}")
    if not scores.requires_grad:
        raise InvalidInput(f"--surrogate {name} gives no gradient: name a function that can be differentiated")
