"""The word of each public loss and estimator, read from the modules that define them."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from typing import Any

from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.spelling.names import FIRST, HOMES, WITHOUT_WORD, word_of


@cache
def loss_words() -> dict[str, type[Loss]]:
    """Every loss of ``advplug.losses``, ``families`` and ``tracing`` by its word; sums are spelled with ``+``."""
    return _words("losses", Loss)


@cache
def gradient_words() -> dict[str, type[GradientEstimator]]:
    """Every estimator of ``advplug.gradients`` and ``advplug.tracing`` by its word."""
    return _words("gradients", GradientEstimator)


def first_parameter(word: str, kind: type[Any]) -> str | None:
    """The parameter that ``word:value`` sets, None if there is none."""
    return FIRST.get(word) or next((name for name in inspect.signature(kind).parameters if name != "of"), None)


def _words(kind: str, base: type[Any]) -> dict[str, type[Any]]:
    """The public and concrete classes that derive from ``base``, in the order of their modules."""
    found = {}
    for home in HOMES[kind][1]:
        for name, one in vars(import_module(home)).items():
            if not inspect.isclass(one) or name.startswith("_") or name in WITHOUT_WORD:
                continue
            if one.__module__.startswith(home) and issubclass(one, base) and not inspect.isabstract(one):
                found[word_of(name)] = one
    return found
