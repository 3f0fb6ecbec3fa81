"""Deep margin maximisation as an advplug plugin; :class:`MarginMaximization` is the objective, for any training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_margin_maximization._defense import MarginMaximizationDefense
    from advplug_defense_margin_maximization._networks import MLP, LeNet
    from advplug_defense_margin_maximization._objective import MarginMaximization, margin_sensitivity

__all__ = ["MLP", "LeNet", "MarginMaximization", "MarginMaximizationDefense", "advplug_defenses", "margin_sensitivity"]

__getattr__ = lazily(
    __name__,
    {
        "MLP": "._networks",
        "LeNet": "._networks",
        "MarginMaximization": "._objective",
        "MarginMaximizationDefense": "._defense",
        "margin_sensitivity": "._objective",
    },
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="margin-maximization",
            factory="advplug_defense_margin_maximization._defense:MarginMaximizationDefense",
            summary="Training that keeps the input gradients of all margins short, and the same networks without it",
            reference="Matyasko, Towards Robust Deep Neural Networks, PhD thesis, NTU Singapore, 2020, chapter 3",
            tags=frozenset({"linf", "l2", "robust-training", "white-box"}),
        )
    ]
