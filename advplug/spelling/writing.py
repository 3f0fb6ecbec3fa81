"""Losses, estimators and criteria as text that :mod:`advplug.spelling.reading` reads back."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, fields, is_dataclass
from types import FunctionType
from typing import Any

from advplug.criteria import Both, Criterion
from advplug.errors import InvalidInput
from advplug.gradients import GradientEstimator
from advplug.losses import Joint, Loss
from advplug.spelling.names import word_of
from advplug.spelling.words import KINDS, WORDS, installed_words

_BARE = re.compile(r"[\w./-]+")


def written(component: Loss | GradientEstimator | Criterion) -> str:
    """``component`` as text, with those of its parameters that are not at their defaults.

    Raises
    ------
    InvalidInput: it holds what text cannot say, such as a tensor or a function without a name.
    """
    if isinstance(component, Joint):
        return "+".join(f"{weight!r}*{_term(loss)}" for weight, loss in component.terms)
    if isinstance(component, Both):
        return f"{written(component.first)} & {written(component.second)}"
    kind, settings, of = type(component), [], ""
    for field in _set_fields(component):
        value = getattr(component, field.name)
        if field.name == "of" and not isinstance(value, Joint):
            of = f" of {written(value)}"
        else:
            settings.append(f"{field.name}={_value(kind, field.name, value)}")
    in_brackets = f"({', '.join(settings)})" if settings else ""
    return f"{_name(kind)}{in_brackets}{of}"


def _term(loss: Loss) -> str:
    return f"({written(loss)})" if isinstance(loss, Joint) else written(loss)


def _name(kind: type) -> str:
    word, own = word_of(kind.__name__), f"{kind.__module__}:{kind.__qualname__}"
    for base in KINDS:
        known: Any = WORDS[base]()
        if known.get(word) is kind:
            return word
        plugin = next((name for name, spec in installed_words(base).items() if spec.factory == own), None)
        if plugin is not None and issubclass(kind, base):
            return plugin
    return own


def _set_fields(component: Any) -> list[Field[Any]]:
    """The fields that are not at their defaults."""
    if not is_dataclass(component):
        if vars(component):
            raise InvalidInput(f"{component!r} cannot be written as text: make its class a dataclass")
        return []
    return [field for field in fields(component) if not _is_default(field, getattr(component, field.name))]


def _is_default(field: Field[Any], value: Any) -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default is not MISSING and type(default) is type(value) and bool(default == value)


def _value(kind: type, name: str, value: Any) -> str:
    if isinstance(value, Loss | GradientEstimator):
        return written(value)
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) and not _means_a_constant(value) else repr(value)
    if isinstance(value, bool | int | float | None | tuple):
        return repr(value)
    if (isinstance(value, FunctionType) or inspect.isclass(value)) and "<" not in value.__qualname__:
        return f"{value.__module__}:{value.__qualname__}"
    raise InvalidInput(f"{name} of {kind.__name__} is a {type(value).__name__}, which no text can say: name its file")


def _means_a_constant(text: str) -> bool:
    """Whether bare ``text`` would be read as a number, a truth value or none where its parameter is no text."""
    from advplug.spelling.values import literal

    return not isinstance(literal(text), str)
