"""The break of input transformations as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_adaptive_input_transformations._adaptive import BreakInputTransformations

__all__ = ["BreakInputTransformations", "advplug_adaptive"]

__getattr__ = lazily(__name__, {"BreakInputTransformations": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="input-transformations",
            factory="advplug_adaptive_input_transformations._adaptive:BreakInputTransformations",
            summary="PGD whose backward pass skips the transformation and averages over its draws",
            reference="Obfuscated Gradients Give a False Sense of Security, ICML 2018, section 5.3 (1802.00420)",
            breaks="input-transformations",
            uses_attacks=("pgd", "standard", "transfer"),
            tags=frozenset({"linf", "bpda", "eot", "preprocessing"}),
        )
    ]
