"""The word of each loss, estimator and criterion: of the core, read from its modules, and of the installed plugins."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from advplug.criteria import Criterion
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.plugins.manager import default_manager
from advplug.specs import PluginSpec
from advplug.spelling.names import FIRST, HOMES, WITHOUT_WORD, word_of

KINDS: dict[type[Any], str] = {Loss: "loss", GradientEstimator: "gradient", Criterion: "criterion"}
"""The kind of plugin that brings words for components of a class."""


@cache
def loss_words() -> dict[str, type[Loss]]:
    """Every loss of ``advplug.losses``, ``families`` and ``tracing`` by its word; sums are spelled with ``+``."""
    return _words("losses", Loss)


@cache
def gradient_words() -> dict[str, type[GradientEstimator]]:
    """Every estimator of ``advplug.gradients`` and ``advplug.tracing`` by its word."""
    return _words("gradients", GradientEstimator)


@cache
def criterion_words() -> dict[str, type[Criterion]]:
    """Every criterion of ``advplug.criteria`` that judges decisions, by its word; ``&`` combines them."""
    return _words("criteria", Criterion)


WORDS: dict[type[Any], Callable[[], dict[str, Any]]] = {
    Loss: loss_words,
    GradientEstimator: gradient_words,
    Criterion: criterion_words,
}
"""What gives the words of the core for components of a class."""


def installed_words(base: type[Any]) -> dict[str, PluginSpec]:
    """The plugins whose names are words for components of class ``base``; a word of the core stays what it is."""
    taken = WORDS[base]()
    return {spec.name: spec for spec in default_manager().specs(KINDS[base]) if spec.name not in taken}


def component_of(base: type[Any], word: str) -> type[Any] | None:
    """The class that ``word`` spells among components of class ``base``; None if there is none.

    Raises
    ------
    BrokenPlugin: the plugin that has this name cannot be imported.
    """
    known: dict[str, type[Any]] = WORDS[base]()
    if word in known:
        return known[word]
    if word in installed_words(base):
        found: type[Any] = default_manager().load(f"{KINDS[base]}:{word}")
        return found
    return None


def words_of(base: type[Any]) -> list[str]:
    """All words for components of class ``base``, those of the core first."""
    return [*WORDS[base](), *installed_words(base)]


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
