"""Fewer values: bit depth and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.hyperparameters import Interval
from advplug_defense_input_transformations._soft_jpeg import soft_jpeg
from advplug_defense_input_transformations._transformation import Transformation

Bits = Annotated[int, Interval(1, 16)]
Quality = Annotated[int, Interval(1, 95)]
SHARPNESS = 10.0
"""Slope of the sigmoid that stands for binarisation in backward passes: its gradient reaches all grey values."""


@dataclass(frozen=True)
class BitDepth(Transformation):
    """Round to ``2^bits - 1`` equal steps, both ends of the range included (Xu et al. 2018, sec. 3.1).

    Published codes differ: Guo et al. keep the upper bits of a byte, others divide by ``2^bits``; then white is no
    longer a value. One bit is binarisation at a half, for which backward passes take a sigmoid.

    Parameters
    ----------
    bits: of each value.
    """

    bits: Bits = 3

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        steps = 2**self.bits - 1
        rounded: Tensor = (x * steps).round() / steps
        return rounded

    def smooth(self, x: Tensor) -> Tensor:
        return torch.sigmoid(SHARPNESS * (x - 0.5)) if self.bits == 1 else x


@dataclass(frozen=True)
class JPEG(Transformation):
    """Code as JPEG and decode, by Pillow with its own subsampling of colours (Guo et al. 2018, sec. 3.1).

    Backward passes take the same transform with softened rounding. The identity would lead an attacker to fine noise,
    which JPEG removes.

    Parameters
    ----------
    quality: as Pillow counts it, 1 to 95.

    Raises
    ------
    InvalidInput: images that are neither grey (one channel) nor in colour (three).
    """

    quality: Quality = 75

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise InvalidInput(f"JPEG takes images (N, 1, H, W) or (N, 3, H, W), not {tuple(x.shape)}")
        pixels = (255 * x.detach()).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        coded = np.empty_like(pixels)
        for number, image in enumerate(pixels):  # Pillow takes one at a time
            coded[number] = self._coded(image)
        return torch.from_numpy(coded).to(x).permute(0, 3, 1, 2) / 255

    def smooth(self, x: Tensor) -> Tensor:
        return soft_jpeg(x, self._tables(x))

    def _tables(self, x: Tensor) -> Tensor:
        """Pillow's quantisation tables for this quality, (T, 8, 8)."""
        stream = BytesIO()
        Image.new("L" if x.shape[1] == 1 else "RGB", (8, 8)).save(stream, "JPEG", quality=self.quality)
        tables = Image.open(stream).quantization  # type: ignore[attr-defined]  # files of this format have it
        return torch.tensor([tables[key] for key in sorted(tables)], dtype=x.dtype, device=x.device).view(-1, 8, 8)

    def _coded(self, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """One image (H, W, C) of bytes, coded and decoded."""
        stream = BytesIO()
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(stream, "JPEG", quality=self.quality)
        return np.asarray(Image.open(stream)).reshape(image.shape)
