"""Images and the windows in them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def window_sides(p: float, height: int, width: int, odd: bool = False) -> tuple[int, int]:
    """Rows and columns of a window over the share ``p`` of an image, a square if it fits; ``odd`` from three on."""
    smallest = 3 if odd else 1
    side = max(round(math.sqrt(p * height * width)), smallest)
    side += odd and side % 2 == 0
    short = min(side, height, width)
    if short == side:
        return side, side
    long = max(round(p * height * width / short), smallest)
    return (short, min(long, width)) if height < width else (min(long, height), short)


def window(place: Tensor, sides: tuple[int, int], height: int, width: int) -> Tensor:
    """Indices (n, sides[0] * sides[1]) into flattened images of a window at ``place`` (n, 2), uniform on [0, 1)."""
    top, left = (place[:, :1] * (height - sides[0] + 1)).long(), (place[:, 1:] * (width - sides[1] + 1)).long()
    rows = top + torch.arange(sides[0], device=place.device)
    columns = left + torch.arange(sides[1], device=place.device)
    return (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
