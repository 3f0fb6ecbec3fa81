"""Gradients whose adversarials transfer to other models, as advplug plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import GradientSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_gradient_transfer._diverse_inputs import DiverseInputs
    from advplug_gradient_transfer._scale_invariant import ScaleInvariant
    from advplug_gradient_transfer._translation_invariant import TranslationInvariant

__all__ = ["DiverseInputs", "ScaleInvariant", "TranslationInvariant", "advplug_gradients"]

__getattr__ = lazily(
    __name__,
    {
        "DiverseInputs": "._diverse_inputs",
        "ScaleInvariant": "._scale_invariant",
        "TranslationInvariant": "._translation_invariant",
    },
)


@hookimpl
def advplug_gradients() -> list[GradientSpec]:
    """Name the estimators; torch is imported when one is loaded."""
    return [
        GradientSpec(
            name="diverse-inputs",
            factory="advplug_gradient_transfer._diverse_inputs:DiverseInputs",
            summary="The gradient at a smaller copy of the image at a random place, for adversarials that transfer",
            reference="Improving transferability of adversarial examples with input diversity, CVPR 2019 (1803.06978)",
        ),
        GradientSpec(
            name="translation-invariant",
            factory="advplug_gradient_transfer._translation_invariant:TranslationInvariant",
            summary="The gradient under a Gaussian blur, which stands for its mean over shifted images",
            reference="Evading defenses to transferable adversarial examples by translation-invariant attacks, "
            "CVPR 2019 (1904.02884)",
        ),
        GradientSpec(
            name="scale-invariant",
            factory="advplug_gradient_transfer._scale_invariant:ScaleInvariant",
            summary="The mean gradient over copies of the image, each half as bright as the one before",
            reference="Nesterov accelerated gradient and scale invariance for adversarial attacks, ICLR 2020 "
            "(1908.06281)",
        ),
    ]
