"""Deep generative classifiers as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_generative._defense import Generative
    from advplug_defense_generative._detector import KLDetector
    from advplug_defense_generative._model import GBZ, FixedNoise
    from advplug_defense_generative._network import Bound, Joint

__all__ = ["GBZ", "Bound", "FixedNoise", "Generative", "Joint", "KLDetector", "advplug_defenses"]

__getattr__ = lazily(
    __name__,
    {
        "Generative": "._defense",
        "KLDetector": "._detector",
        "GBZ": "._model",
        "FixedNoise": "._model",
        "Bound": "._network",
        "Joint": "._network",
    },
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="generative",
            factory="advplug_defense_generative._defense:Generative",
            summary="A generative classifier takes the class that explains the image best, and rejects what it doubts",
            reference="Li, Bradshaw and Sharma, Are Generative Classifiers More Robust to Adversarial Attacks?, "
            "ICML 2019 (1802.06552)",
            tags=frozenset({"linf", "generative", "randomised", "detector", "white-box"}),
        )
    ]
