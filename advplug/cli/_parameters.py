"""The parameters of a class or function, for people and programs."""

from __future__ import annotations

import inspect
from typing import Any


def parameters_of(factory: Any) -> dict[str, dict[str, Any]]:
    """Constructor parameters: annotation, default (a JSON value, or its repr), whether required."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # classes written in C have none
        return {}
    return {
        parameter.name: {
            "annotation": "" if parameter.annotation is parameter.empty else _annotation(parameter.annotation),
            "default": None if parameter.default is parameter.empty else _value(parameter.default),
            "required": parameter.default is parameter.empty,
        }
        for parameter in signature.parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _value(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else repr(value)
