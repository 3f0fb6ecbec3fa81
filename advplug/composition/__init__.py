"""The search for an adaptive attack: the sentence of attack, loss, gradient and targets that breaks a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.composition.attack import Searching
    from advplug.composition.plan import Plan

__all__ = ["Plan", "Searching"]

__getattr__ = lazily(__name__, {"Plan": ".plan", "Searching": ".attack"})
