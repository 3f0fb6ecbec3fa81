"""Transformations of the input as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DefenseSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_defense_input_transformations._defense import InputTransformations
    from advplug_defense_input_transformations._denoisers import Median, NonLocalMeans
    from advplug_defense_input_transformations._geometry import CropRescale, ResizePad
    from advplug_defense_input_transformations._model import InputTransformed
    from advplug_defense_input_transformations._quantisers import JPEG, BitDepth
    from advplug_defense_input_transformations._quilting import Quilting
    from advplug_defense_input_transformations._total_variation import TotalVariation
    from advplug_defense_input_transformations._transformation import Transformation

__all__ = [
    "JPEG",
    "BitDepth",
    "CropRescale",
    "InputTransformations",
    "InputTransformed",
    "Median",
    "NonLocalMeans",
    "Quilting",
    "ResizePad",
    "TotalVariation",
    "Transformation",
    "advplug_defenses",
]

__getattr__ = lazily(
    __name__,
    {
        "JPEG": "._quantisers",
        "BitDepth": "._quantisers",
        "CropRescale": "._geometry",
        "InputTransformations": "._defense",
        "InputTransformed": "._model",
        "Median": "._denoisers",
        "NonLocalMeans": "._denoisers",
        "Quilting": "._quilting",
        "ResizePad": "._geometry",
        "TotalVariation": "._total_variation",
        "Transformation": "._transformation",
    },
)


@hookimpl
def advplug_defenses() -> list[DefenseSpec]:
    """Name the defense; torch is imported when it is loaded."""
    return [
        DefenseSpec(
            name="input-transformations",
            factory="advplug_defense_input_transformations._defense:InputTransformations",
            summary="Bit depth, JPEG, crops, total variation, quilting or a denoiser before a plain classifier",
            reference="Countering Adversarial Images using Input Transformations, ICLR 2018 (1711.00117)",
            tags=frozenset({"linf", "preprocessing", "stochastic", "white-box"}),
        )
    ]
