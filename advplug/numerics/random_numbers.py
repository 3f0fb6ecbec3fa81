"""Random numbers that belong to a sample, not to a batch.

Every number is a hash of (seed, sample, round, step, draw, position), computed on the device of the keys. So a draw
is the same whatever the batch size, the batch-mates, the device or the state of any global generator, and needs no
loop over samples. The hash is the output function of SplitMix64 (Steele, Lea and Flood, 2014); normal deviates come
from the Box-Muller transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_RESOLUTION = 1 << 24  # a float32 holds 24 bits exactly


def _signed(number: int) -> int:
    """``number`` modulo 2**64 as a signed 64-bit integer, which is what torch has."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch's own is arithmetic."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _FIRST
    z = (z ^ _shift(z, 27)) * _SECOND
    return z ^ _shift(z, 31)


@dataclass(frozen=True)
class Noise:
    """A stream of random numbers for each of n samples; ``keys`` is int64 (n,)."""

    keys: Tensor

    @classmethod
    def of(cls, seed: int, samples: Tensor, round_: int) -> Noise:
        """The streams of the given samples (int64 indices (n,)) in one restart."""
        return cls(
            _mix(
                _mix(_mix(torch.full_like(samples, _signed(seed))) + samples * _GOLDEN)
                + _signed((round_ + 1) * _GOLDEN)
            )
        )

    def tiled(self, copies: int, first: int = 0) -> Noise:
        """Independent streams for stacked copies number ``first`` and following of the batch, (copies * n,)."""
        copy = torch.arange(first + 1, first + copies + 1, device=self.keys.device)
        return Noise(_mix(self.keys[None] + copy[:, None] * _GOLDEN).flatten())

    def _bits(self, step: int, first: int, count: int) -> Tensor:
        """64-bit hashes number ``first`` to ``first + count`` of a step, (n, count)."""
        position = torch.arange(first, first + count, device=self.keys.device)
        return _mix(_mix(self.keys + _signed((step + 3) * _FIRST))[:, None] + (position + 1) * _GOLDEN)

    def uniform(self, step: int, shape: tuple[int, ...]) -> Tensor:
        """Float32 uniform on [0, 1), (n, *shape)."""
        bits = self._bits(step, 0, math.prod(shape))
        return (_shift(bits, 40).float() / _RESOLUTION).reshape(-1, *shape)

    def normal(self, step: int, shape: tuple[int, ...], draws: int = 1, first_draw: int = 0) -> Tensor:
        """Standard normal float32, (draws, n, *shape): draws ``first_draw`` and following of the given step."""
        size = math.prod(shape)
        half = (size + 1) // 2  # one hash gives two normal deviates
        bits = self._bits(step, first_draw * half, draws * half)
        radius = ((_shift(bits, 40).float() + 0.5) / _RESOLUTION).log_().mul_(-2).sqrt_()
        angle = (bits & (_RESOLUTION - 1)).float() * (2 * math.pi / _RESOLUTION)
        pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), -1)
        return pairs.reshape(-1, draws, 2 * half)[..., :size].transpose(0, 1).reshape(draws, -1, *shape)
