"""The noise that the detector adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["normal", "uniform", "sign"]


@dataclass(frozen=True)
class Noise:
    """``scale`` times standard normal noise, uniform noise on [-1, 1], or signs of equal odds; inputs in [0, 1]."""

    kind: Kind
    scale: float

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` (N, ...) with noise from torch's global generator, cut to [0, 1]."""
        if self.kind == "normal":
            drawn = torch.randn_like(x)
        else:
            drawn = 2 * torch.rand_like(x) - 1
            if self.kind == "sign":
                drawn = drawn.sign()
        return drawn.mul_(self.scale).add_(x).clamp_(0, 1)


SINGLE = (Noise("normal", 30 / 255),)
"""One noise, the authors' ``n30``."""

SEVERAL = tuple(Noise(kind, scale) for kind in ("normal", "sign", "uniform") for scale in (0.003, 0.005, 0.008))
"""Nine noises, whose z-scores are averaged."""
