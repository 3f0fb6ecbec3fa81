"""ME-Net as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_me_net._defense import MENet
    from advplug_defense_me_net._estimation import USVT, NuclearNorm
    from advplug_defense_me_net._model import Bare, Masked, estimated

__all__ = ["USVT", "Bare", "MENet", "Masked", "NuclearNorm", "advplug_defenses", "estimated"]

__getattr__ = lazily(
    __name__,
    {
        "MENet": "._defense",
        **dict.fromkeys(("NuclearNorm", "USVT"), "._estimation"),
        **dict.fromkeys(("Bare", "Masked", "estimated"), "._model"),
    },
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="me-net",
            factory="advplug_defense_me_net._defense:MENet",
            summary="Random masks over the pixels, and an estimate of the whole image from those that are left",
            reference="Yang et al., ME-Net: Towards Effective Adversarial Robustness with Matrix Estimation, ICML 2019 "
            "(1905.11971)",
            tags=frozenset({"linf", "stochastic", "preprocessing", "white-box"}),
        )
    ]
