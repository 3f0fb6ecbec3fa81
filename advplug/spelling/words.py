"""The word of each public loss and estimator, read from the modules that define them."""

from __future__ import annotations

import inspect
import re
from functools import cache
from types import ModuleType
from typing import Any

from advplug import families, gradients, losses
from advplug.gradients import GradientEstimator
from advplug.losses import Joint, Loss
from advplug.tracing import acceptance, traced

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
