"""What a torch module declares, where another library's model is around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from torch import nn

from advplug.model import Capabilities, DefendedModel, PlainModel

_DECLARED = ("outputs", "stochastic", "batch_dependent")


def as_inner(module: nn.Module, num_classes: int, bounds: tuple[float, float]) -> DefendedModel:
    """``module`` itself if it is one of ours, else as one without a defense."""
    return module if isinstance(module, DefendedModel) else PlainModel(module, num_classes, bounds)


def declare_like(model: DefendedModel, inner: DefendedModel) -> None:
    """Let ``model`` say of itself what ``inner`` says."""
    for name in _DECLARED:
        setattr(model, name, getattr(inner, name))


def offered(inner: DefendedModel, through: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Capabilities:
    """What ``inner`` offers beyond scores, each of its methods as ``through`` makes it take the outer inputs."""
    offers: dict[str, Any] = {}
    for field in fields(Capabilities):
        offer = getattr(inner.capabilities, field.name)
        offers[field.name] = through(offer) if callable(offer) else offer
    return Capabilities(**offers)
