"""Representations inside a model: where one is, and what it is for given inputs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from advplug.attack import Oracle
from advplug.errors import InvalidInput
from advplug.model import DefendedModel, HasFeatures


def find_part(model: DefendedModel, part: str | None, oracle: Oracle, x: Tensor) -> str:
    """The name of ``part`` as losses know it; None is what goes into the linear layer that is called last.

    Where that is the input itself, it is what comes out of that layer.

    Raises
    ------
    InvalidInput: there is no such part.
    """
    modules = dict(model.named_modules())
    if part is None:
        called: list[tuple[str, Tensor]] = []
        with ExitStack() as hooks:
            for name, module in modules.items():
                if isinstance(module, nn.Linear):
                    see = module.register_forward_pre_hook(lambda _m, seen, name=name: called.append((name, seen[0])))
                    hooks.callback(see.remove)
            oracle(x[:1])
        if not called:
            raise InvalidInput(f"the model has no linear layer: name a part, one of {_some(modules)}")
        name, inside = called[-1]
        return name if torch.equal(inside.flatten(), x[:1].flatten().to(inside)) else f"{name}:input"
    if part == "features" and isinstance(model, HasFeatures):
        return part
    for name in (part, f"module.{part}"):  # a module that is wrapped as a model keeps its own names
        if name and name.removesuffix(":input") in modules:
            return name
    raise InvalidInput(f"the model has no part {part!r}: name one of {_some(modules)}")


def scores_and_values(model: DefendedModel, part: str, oracle: Oracle, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (m, K) and the representation (m, ...) at ``part`` for ``x`` (m, ...)."""
    if part == "features" and isinstance(model, HasFeatures):
        oracle.asked += len(x)
        with torch.no_grad():
            return oracle(x), model.features(x)
    module = dict(model.named_modules())[part.removesuffix(":input")]
    seen: list[Tensor] = []

    def see(_module: nn.Module, inputs: tuple[Any, ...], output: Any = None) -> None:
        seen.append(inputs[0] if part.endswith(":input") else output)

    hooks = module.register_forward_pre_hook if part.endswith(":input") else module.register_forward_hook
    hook = hooks(see)
    try:
        return oracle(x), torch.cat(seen)
    finally:
        hook.remove()


def _some(modules: dict[str, nn.Module]) -> str:
    names = [name for name in modules if name]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
