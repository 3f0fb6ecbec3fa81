"""Random crops, sizes and places. All are differentiable: an attacker averages gradients over draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from advplug.errors import InvalidInput
from advplug.hyperparameters import Count
from advplug_defense_input_transformations._transformation import Transformation, side_of, uniform


@dataclass(frozen=True)
class CropRescale(Transformation):
    """A random crop, resized bilinearly to the size of the image (Guo et al. 2018, sec. 3.1).

    The authors average the softmax over 30 crops: ``InputTransformed(model, CropRescale(90), draws=30)``.

    Parameters
    ----------
    size: side of the crop in pixels.

    Raises
    ------
    InvalidInput: an image is smaller than that, or not square.
    """

    random = True
    differentiable = True

    size: Count

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        side = side_of(x, "CropRescale")
        if self.size > side:
            raise InvalidInput(f"crops of size {self.size} do not fit into images of side {side}: give at most {side}")
        top, left = uniform(x, generator, *[side - self.size + 1] * 2)
        steps = torch.arange(self.size, device=x.device)
        rows, columns = top[:, None] + steps, left[:, None] + steps
        samples = torch.arange(len(x), device=x.device)[:, None, None]
        crops = x[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return F.interpolate(crops, (side, side), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class ResizePad(Transformation):
    """Resized bilinearly to a random size, then padded with zeros to a fixed one at a random place (Xie et al. 2018).

    The authors resize images of side 299 to 299 to 330 and pad to 331: ``ResizePad(299, 331)``.

    Parameters
    ----------
    least: the smallest size, in pixels; all from there to ``side`` are as likely.
    side: what comes out, None for the side of the image.

    Raises
    ------
    InvalidInput: ``least`` is more than ``side``, or an image is not square.
    """

    random = True
    differentiable = True

    least: Count
    side: Count | None = None

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        side = side_of(x, "ResizePad") if self.side is None else self.side
        side_of(x, "ResizePad")
        if self.least > side:
            raise InvalidInput(f"least is {self.least}: give at most the side that comes out, {side}")
        (more,) = uniform(x, generator, side - self.least + 1)
        size = self.least + more
        top, left = uniform(x, generator, side - size + 1, side - size + 1)
        pixels = torch.arange(side, device=x.device)
        rows, columns = (pixels - start[:, None] for start in (top, left))  # of the resized image, (N, side)
        inside = [(place >= 0) & (place < size[:, None]) for place in (rows, columns)]
        # Centres of pixels, with -1 and 1 for the outer edges of the first and the last.
        down, across = (((2 * place + 1) / size[:, None] - 1).to(x.dtype) for place in (rows, columns))
        grid = torch.stack(torch.broadcast_tensors(across[:, None, :], down[:, :, None]), 3)
        resized = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        return resized * (inside[0][:, None, :, None] & inside[1][:, None, None, :])
