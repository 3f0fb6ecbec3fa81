"""DeepFool as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_deepfool._deepfool import DeepFool

__all__ = ["DeepFool", "advplug_attacks"]

__getattr__ = lazily(__name__, {"DeepFool": "._deepfool"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attack; torch is imported when it is loaded."""
    return [
        AttackSpec(
            name="deepfool",
            factory="advplug_attack_deepfool._deepfool:DeepFool",
            summary="DeepFool under L2 and Linf: steps to the nearest linearised boundary until the class changes",
            reference="DeepFool: a simple and accurate method to fool deep neural networks, CVPR 2016 (1511.04599)",
            tags=frozenset({"l2", "linf", "targeted", "minimum-norm"}),
        )
    ]
