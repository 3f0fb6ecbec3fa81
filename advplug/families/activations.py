"""Layers inside a model: where one is, and what it gives for some inputs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from advplug.engine.gateway import Gateway
from advplug.errors import InvalidInput


def find_layer(layer: str | None, gateway: Gateway, x: Tensor) -> str:
    """The name of ``layer`` as losses know it; None is what goes into the linear layer that is called last.

    Where that is the input itself, it is what comes out of that layer.

    Raises
    ------
    InvalidInput: there is no such layer.
    """
    modules = dict(gateway.model.named_modules())
    if layer is None:
        return _last_linear(modules, gateway, x[:1])
    if layer == "features" and gateway.model.capabilities.features is not None:
        return layer
    for name in (layer, f"module.{layer}"):  # a module that is wrapped as a model keeps its own names
        if name and name.removesuffix(":input") in modules:
            return name
    raise InvalidInput(f"the model has no layer {layer!r}: name one of {_some(modules)}")


def scores_and_activations(layer: str, gateway: Gateway, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (m, K) and the activations (m, ...) of ``layer`` for ``x`` (m, ...)."""
    module = dict(gateway.model.named_modules()).get(layer.removesuffix(":input"))
    if module is None:
        return gateway.scores(x), _features(gateway, x)
    latest: list[Tensor] = []
    activations: list[Tensor] = []

    def see(_module: nn.Module, inputs: tuple[Any, ...], output: Any = None) -> None:
        latest[:] = [inputs[0] if layer.endswith(":input") else output]

    def keep(*_: object) -> None:  # only now: a pass that runs out of memory on its way is made again in parts
        activations.extend(latest)

    hook = module.register_forward_pre_hook if layer.endswith(":input") else module.register_forward_hook
    with ExitStack() as hooks:
        hooks.callback(hook(see).remove)
        hooks.callback(gateway.model.register_forward_hook(keep).remove)
        return gateway.scores(x), torch.cat(activations)


def _last_linear(modules: dict[str, nn.Module], gateway: Gateway, x: Tensor) -> str:
    called: list[tuple[str, Tensor]] = []
    with ExitStack() as hooks:
        for name, module in modules.items():
            if isinstance(module, nn.Linear):
                see = module.register_forward_pre_hook(lambda _m, seen, name=name: called.append((name, seen[0])))
                hooks.callback(see.remove)
        gateway.scores(x)
    if not called:
        raise InvalidInput(f"the model has no linear layer: name a layer, one of {_some(modules)}")
    name, inside = called[-1]
    return name if torch.equal(inside.flatten(), x.flatten().to(inside)) else f"{name}:input"


@torch.no_grad()
def _features(gateway: Gateway, x: Tensor) -> Tensor:
    """What the model itself calls its features, at the price of a pass."""
    features = gateway.model.capabilities.features
    assert features is not None
    gateway.asked += len(x)
    return torch.cat([features(part) for part in x.split(gateway.max_rows)])


def _some(modules: dict[str, nn.Module]) -> str:
    names = [name for name in modules if name]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
