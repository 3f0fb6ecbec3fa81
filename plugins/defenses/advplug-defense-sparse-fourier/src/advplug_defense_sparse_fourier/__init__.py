"""Recovery by a sparse Fourier transform as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_sparse_fourier._defense import SparseFourier
    from advplug_defense_sparse_fourier._model import Recovered, Unrecovered
    from advplug_defense_sparse_fourier._recovery import IterativeHardThresholding

__all__ = ["IterativeHardThresholding", "Recovered", "SparseFourier", "Unrecovered", "advplug_defenses"]

__getattr__ = lazily(
    __name__,
    {
        "SparseFourier": "._defense",
        "Recovered": "._model",
        "Unrecovered": "._model",
        "IterativeHardThresholding": "._recovery",
    },
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="sparse-fourier",
            factory="advplug_defense_sparse_fourier._defense:SparseFourier",
            summary="Few changed pixels are removed by iterative hard thresholding in the cosine domain",
            reference="Bafna, Murtagh and Vyas, Thwarting Adversarial Examples: An L0-Robust Sparse Fourier Transform, "
            "NeurIPS 2018 (1812.05013)",
            tags=frozenset({"l0", "preprocessing", "compression", "white-box"}),
        )
    ]
