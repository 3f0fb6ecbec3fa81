"""Packages whose names are imported on first use, so that importing the package itself costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """``__getattr__`` (PEP 562) for the package of that name.

    Parameters
    ----------
    package: the package's ``__name__``.
    homes: module of each name, relative to the package with a leading dot.
    """

    def get(name: str) -> Any:
        if name in homes:
            return getattr(import_module(homes[name], package), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
