"""The databases of quilting: patches of clean images."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parent / "patches"


def drawn(images: Tensor, size: int, count: int, seed: int = 0) -> Tensor:
    """``count`` patches uint8 (count, C, size, size) at random places of random ``images`` (N, C, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    windows = images.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, rows, columns, size, size)
    number, row, column = (
        torch.randint(limit, (count,), generator=generator)
        for limit in (len(windows), windows.shape[2], windows.shape[3])
    )
    return (255 * windows[number, :, row, column]).round().to(torch.uint8)


def shipped(data: str) -> Tensor:
    """The database for ``mnist`` (5000, 1, 4, 4) or ``cifar10`` (5000, 3, 5, 5), float in [0, 1].

    It is drawn from the shipped digits 8,000 to 8,999, or from the first 1,000 images that CIFAR-10 trains on.
    """
    return load_file(FOLDER / f"{data}.safetensors")["patches"].float() / 255
