"""A network of another library with its preprocessing inside, so that attacks see pixels in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.errors import InvalidInput
from advplug.model import DefendedModel, scores_in

MODES = {
    "nearest": "nearest-exact",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "lanczos": "bicubic",
    "box": "area",
    "hamming": "bilinear",
    "random": "bilinear",
}
"""Interpolation of Pillow, and the one of torch that is nearest to it."""


@dataclass(frozen=True)
class Preprocessing:
    """What stands between an image and the network.

    Parameters
    ----------
    size: (H, W) that the network takes; None for images of any size.
    resized: length of the shorter side, or (H, W), that an image is resized to before its centre of ``size`` is cut
        out; None for ``size`` itself. An image of ``size`` is taken as it is.
    mode: interpolation, a key of ``MODES``.
    mean, std: of each channel, for pixels of ``scale`` times those in [0, 1].
    """

    size: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resized: int | tuple[int, int] | None = None
    mode: str = "bicubic"
    scale: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        """Inputs of the network for images (N, C, H, W) in [0, 1]; grey ones for a network of three channels."""
        if x.ndim != 4 or x.shape[1] not in (1, len(self.mean)):
            raise InvalidInput(f"the network takes images (N, {len(self.mean)}, H, W), not {tuple(x.shape)}")
        x = self._fitted(x.expand(-1, len(self.mean), -1, -1))
        mean, std = (x.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (self.scale * x - mean) / std

    def _fitted(self, x: Tensor) -> Tensor:
        size = self.size
        if size is None or tuple(x.shape[2:]) == size:
            return x
        x = self._resized(x, self._target(x.shape[2], x.shape[3], size))
        height, width = x.shape[2:]
        short = max(0, size[0] - height), max(0, size[1] - width)
        if any(short):
            x = F.pad(x, (short[1] // 2, short[1] - short[1] // 2, short[0] // 2, short[0] - short[0] // 2))
            height, width = x.shape[2:]
        top, left = round((height - size[0]) / 2), round((width - size[1]) / 2)
        return x[:, :, top : top + size[0], left : left + size[1]]

    def _target(self, height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
        if not isinstance(self.resized, int):
            return self.resized or size
        shorter = min(height, width)
        return int(self.resized * height / shorter), int(self.resized * width / shorter)

    def _resized(self, x: Tensor, target: tuple[int, int]) -> Tensor:
        mode = MODES.get(self.mode, "bicubic")
        if mode not in ("bilinear", "bicubic"):
            return F.interpolate(x, target, mode=mode)
        return F.interpolate(x, target, mode=mode, align_corners=False, antialias=True).clamp(0, 1)


class Preprocessed(DefendedModel):
    """``network`` behind ``preprocessing``, for images (N, C, H, W) in [0, 1].

    ``class_names`` are those of its configuration, empty if it has none.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        num_classes: int,
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__(num_classes)
        self.network, self.preprocessing, self.class_names = network, preprocessing, tuple(class_names)

    def forward(self, x: Tensor) -> Tensor:
        network: Callable[[Tensor], Any] = self.network
        return scores_in(network(self.preprocessing(x)), None, x.device)


def checked(preprocessing: Preprocessing, name: str) -> Preprocessing:
    """``preprocessing``, if its mean and standard deviation are numbers of one kind.

    Raises
    ------
    InvalidInput: of different lengths, or a standard deviation that is not positive.
    """
    mean, std = preprocessing.mean, preprocessing.std
    if not mean or len(mean) != len(std) or min(std) <= 0 or not torch.tensor([*mean, *std]).isfinite().all():
        raise InvalidInput(f"{name}: its configuration has mean {mean} and std {std}: correct it")
    return preprocessing
