"""k-Winners-Take-All networks as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_kwta._defense import KWTA
    from advplug_defense_kwta._networks import ResNet18

__all__ = ["KWTA", "ResNet18", "advplug_defenses"]

__getattr__ = lazily(__name__, {"KWTA": "._defense", "ResNet18": "._networks"})


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="kwta",
            factory="advplug_defense_kwta._defense:KWTA",
            summary="k-Winners-Take-All activations, whose jumps leave backpropagated gradients useless",
            reference="Xiao et al., Enhancing Adversarial Defense by k-Winners-Take-All, ICLR 2020 (1905.10510)",
            tags=frozenset({"linf", "discontinuous", "gradient-masking", "white-box"}),
        )
    ]
