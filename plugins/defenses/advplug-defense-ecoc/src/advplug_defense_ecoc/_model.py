"""The deployed classifier: bits, their activation, and the decoder."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from advplug.model import DefendedModel
from advplug_defense_ecoc._codes import codewords
from advplug_defense_ecoc._networks import Bits

LEAST = 1e-6
"""What the decoder adds before it takes the logarithm."""


class EnsembleOfBits(DefendedModel):
    """An ensemble of binary classifiers, decoded by correlation with the codewords (Verma and Swami 2019, sec. 2).

    ``log(max(C tanh(gain b(x)), 0) + 1e-6)`` for bits b and codewords C: the softmax of it is the correlation of each
    codeword, floored at zero and normalised. There are as many codewords as bits, so the answer may be a class that
    does not exist.

    ``bits`` and ``activation`` are modules of their own, so that a loss can name them as layers.

    Parameters
    ----------
    bits: the networks.
    gain: factor of the bits, which could as well stand in the weights of the last layer.
    """

    code: Tensor

    def __init__(self, bits: Bits, gain: float = 1.0) -> None:
        length = bits.chunks * bits.heads
        super().__init__(num_classes=length)
        self.bits = bits
        self.gain = gain
        self.activation = torch.nn.Tanh()
        self.register_buffer("code", codewords(length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, codewords) for images (N, C, H, W) in [0, 1]."""
        return self.decode(self.bits(x))

    def surrogate(self, x: Tensor) -> Tensor:
        """Scores (N, codewords) without the steps that saturate: tanh, floor and logarithm. For BPDA."""
        return cast(Tensor, self.bits(x)) @ self.code.T

    def decode(self, bits: Tensor) -> Tensor:
        """Logits (N, codewords) for bits (N, length) before their activation."""
        correlation = cast(Tensor, self.activation(self.gain * bits)) @ self.code.T
        return (correlation.clamp(min=0) + LEAST).log()
