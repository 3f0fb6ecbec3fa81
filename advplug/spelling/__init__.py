"""Losses, gradient estimators and criteria as people write them on a command line, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.spelling.reading import read_criterion, read_gradient, read_loss
    from advplug.spelling.words import gradient_words, loss_words
    from advplug.spelling.writing import written

__all__ = ["gradient_words", "loss_words", "read_criterion", "read_gradient", "read_loss", "written"]

__getattr__ = lazily(
    __name__,
    {
        "gradient_words": ".words",
        "loss_words": ".words",
        "read_criterion": ".reading",
        "read_gradient": ".reading",
        "read_loss": ".reading",
        "written": ".writing",
    },
)
