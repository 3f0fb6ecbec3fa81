"""What users bring along: images and labels in any form, models of other libraries, and names of their own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.intake.hf_models import hf_model
    from advplug.intake.timm_models import timm_model
    from advplug.intake.user_images import in_drawn_order, read_images

__all__ = ["hf_model", "in_drawn_order", "read_images", "timm_model"]

__getattr__ = lazily(
    __name__,
    {
        "hf_model": ".hf_models",
        "in_drawn_order": ".user_images",
        "read_images": ".user_images",
        "timm_model": ".timm_models",
    },
)
