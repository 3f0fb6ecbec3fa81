"""Gradients of models that hide theirs: what a forward pass shows, and the backward pass that is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.tracing.acceptance import Acceptance
    from advplug.tracing.traced import Traced

__all__ = ["Acceptance", "Traced"]

__getattr__ = lazily(__name__, {"Acceptance": ".acceptance", "Traced": ".traced"})
