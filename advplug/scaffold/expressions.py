"""Components as Python expressions, and expressions as lines that a formatter leaves as they are."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from importlib import import_module
from types import FunctionType
from typing import Any

WIDTH = 100
"""Longest line of an expression; a formatter breaks lines later, and leaves earlier breaks with a trailing comma."""

Imports = set[tuple[str, str]]
"""Pairs of a module and a name that an expression needs from it."""


class Unspoken(Exception):
    """A component that no expression gives, such as one that holds a tensor."""


@dataclass(frozen=True)
class Call:
    """A call, or a tuple if ``name`` is "": pairs of a keyword ("" for none) and a value."""

    name: str
    arguments: tuple[tuple[str, Call | str], ...]

    def flat(self) -> str:
        """On one line."""
        inside = ", ".join(_keyword(keyword) + _flat(value) for keyword, value in self.arguments)
        return f"{self.name}({inside}{',' if not self.name and len(self.arguments) == 1 else ''})"


def lines(node: Call | str, indent: int, *, before: str = "", after: str = "") -> str:
    """``node`` at that indentation, between two texts, on as many lines as it needs."""
    flat = f"{' ' * indent}{before}{_flat(node)}{after}"
    if isinstance(node, str) or len(flat) <= WIDTH or not node.arguments:
        return flat
    inner = (lines(value, indent + 4, before=_keyword(keyword), after=",") for keyword, value in node.arguments)
    return "\n".join((f"{' ' * indent}{before}{node.name}(", *inner, f"{' ' * indent}){after}"))


def call(name: str, /, *arguments: Call | str, **named: Call | str) -> Call:
    """``name(*arguments, **named)``."""
    return Call(name, (*(("", value) for value in arguments), *named.items()))


def quoted(text: str) -> str:
    """``text`` as a string, in the quotes that formatters write."""
    plain = repr(text)
    return plain if '"' in text else f'"{plain[1:-1]}"'.replace("\\'", "'")


def literal(value: Any) -> str:
    """A number, text, truth value or None, or a tuple or list of them.

    Raises
    ------
    Unspoken: anything else.
    """
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        inside = ", ".join(map(literal, value))
        return f"({inside}{',' * (len(value) == 1)})" if isinstance(value, tuple) else f"[{inside}]"
    raise Unspoken(f"a {type(value).__name__}")


def component(value: Any, imports: Imports) -> Call | str:
    """The expression of a loss, an estimator, a function or a plain value; what it needs is added to ``imports``.

    Raises
    ------
    Unspoken: it holds what no expression gives.
    """
    if isinstance(value, FunctionType) or inspect.isclass(value):
        return _named(value, imports)
    if isinstance(value, tuple) and any(is_dataclass(item) or isinstance(item, tuple) for item in value):
        return Call("", tuple(("", component(item, imports)) for item in value))
    from advplug.gradients import GradientEstimator
    from advplug.losses import Loss

    if not isinstance(value, Loss | GradientEstimator):
        return literal(value)
    if not is_dataclass(value) and vars(value):
        raise Unspoken(f"a {type(value).__name__}")
    own: tuple[Field[Any], ...] = fields(value) if is_dataclass(value) else ()
    settings = ((field.name, getattr(value, field.name)) for field in own if _differs(field, value))
    made = tuple((name, component(setting, imports)) for name, setting in settings)
    return Call(_named(type(value), imports), made)


def import_lines(*found: Iterable[tuple[str, str]]) -> str:
    """``from MODULE import NAMES`` for all pairs, in the order that isort gives."""
    modules: dict[str, set[str]] = {}
    for module, name in (pair for pairs in found for pair in pairs):
        modules.setdefault(module, set()).add(name)
    return "\n".join(_import(module, sorted(names, key=_rank)) for module, names in sorted(modules.items()))


def arguments(settings: Mapping[str, Any]) -> dict[str, Call | str]:
    """The settings of a plugin as arguments of a call."""
    return {name: literal(value) for name, value in settings.items()}


def _import(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join((f"from {module} import (", *(f"    {name}," for name in names), ")"))


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), name


def _named(thing: Any, imports: Imports) -> str:
    """The name of a class or function in the shortest module that has it."""
    name = thing.__qualname__
    if "." in name or "<" in name:
        raise Unspoken(name)
    path = thing.__module__.split(".")
    for length in range(min(2, len(path)), len(path) + 1):
        module = ".".join(path[:length])
        if getattr(import_module(module), name, None) is thing:
            imports.add((module, name))
            return str(name)
    raise Unspoken(f"{thing.__module__}.{name}")


def _differs(field: Field[Any], holder: Any) -> bool:
    """Whether the field of ``holder`` is not at its default."""
    value = getattr(holder, field.name)
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default is MISSING or type(default) is not type(value) or not bool(default == value)


def _keyword(name: str) -> str:
    return f"{name}=" if name else ""


def _flat(node: Call | str) -> str:
    return node if isinstance(node, str) else node.flat()
