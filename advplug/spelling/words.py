"""The word of each loss, estimator and criterion: of the core, read from its modules, and of the installed plugins."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from advplug import criteria, families, gradients, losses
from advplug.criteria import Both, Confident, Criterion
from advplug.gradients import GradientEstimator
from advplug.losses import Joint, Loss
from advplug.plugins.manager import default_manager
from advplug.specs import PluginSpec
from advplug.tracing import acceptance, traced

KINDS: dict[type[Any], str] = {Loss: "loss", GradientEstimator: "gradient", Criterion: "criterion"}
"""The kind of plugin that brings words for components of a class."""
BASES: dict[str, type[Any]] = {"losses": Loss, "gradients": GradientEstimator, "criteria": Criterion}
"""The classes of components by what people call them together."""

ALIASES = {"finite-differences": "finite-difference", "detector": "detector-score"}
"""Other spellings of a word, and the word."""

FIRST = {"smoothed": "draws", "finite-difference": "queries"}
"""Which parameter stands after the colon, where it is not the first one."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@cache
def loss_words() -> dict[str, type[Loss]]:
    """Every loss of ``advplug.losses``, ``families`` and ``tracing`` by its word; sums are spelled with ``+``."""
    found: dict[str, type[Loss]] = {**_words(losses, Loss), **_words(families, Loss), **_words(acceptance, Loss)}
    return {word: kind for word, kind in found.items() if kind is not Joint}


@cache
def gradient_words() -> dict[str, type[GradientEstimator]]:
    """Every estimator of ``advplug.gradients`` and ``advplug.tracing`` by its word."""
    return {**_words(gradients, GradientEstimator), **_words(traced, GradientEstimator)}


@cache
def criterion_words() -> dict[str, type[Criterion]]:
    """Every criterion of ``advplug.criteria`` that judges decisions, by its word; ``&`` combines them."""
    return {word: kind for word, kind in _words(criteria, Criterion).items() if kind not in (Both, Confident)}


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


def word_of(kind: type[Any]) -> str:
    """``multi-target-logit`` of ``MultiTargetLogit``, ``targeted-dlr`` of ``TargetedDLR``."""
    return _HUMP.sub("-", kind.__name__).lower()


def _words(module: ModuleType, base: type[Any]) -> dict[str, type[Any]]:
    """The public and concrete classes of ``module`` that derive from ``base``, in their order there."""
    classes = [kind for name, kind in vars(module).items() if inspect.isclass(kind) and not name.startswith("_")]
    mine = [kind for kind in classes if kind.__module__.startswith(module.__name__) and issubclass(kind, base)]
    return {word_of(kind): kind for kind in mine if not inspect.isabstract(kind)}
