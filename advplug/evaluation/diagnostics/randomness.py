"""How random a model is: how often its answer flips, and over how many draws a gradient must be averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from advplug.engine.problem import Problem
from advplug.evaluation.diagnostics.intervals import wilson
from advplug.evaluation.diagnostics.slopes import first_of, slopes
from advplug.losses import Margin

PAIRS, SAMPLES = 8, 32
"""Pairs of passes that are compared, on so many samples at most."""

LEAST, MOST = 4, 100
"""Draws that are ever advised: fewer are luck, more are past what EOT is run with."""

_GRADIENTS = 8


@dataclass(frozen=True)
class Randomness:
    """``flips`` is the share of pairs of passes whose classes differ, of ``pairs`` pairs; ``draws`` what to average."""

    flips: float
    pairs: int
    draws: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of ``flips``."""
        return wilson(self.flips, self.pairs)


def measure(problem: Problem) -> Randomness:
    """Compare fresh passes over the first samples of ``problem``."""
    few = first_of(problem, SAMPLES)
    with few.gateway() as gateway:
        x = gateway.cast(few.inputs)
        passes = [gateway.decide(x).labels for _ in range(2 * PAIRS)]
        flips = torch.stack([one != other for one, other in zip(passes[::2], passes[1::2], strict=True)])
        found = [slopes(Margin(), few, gateway, x)[1] for _ in range(_GRADIENTS)]
    gradients = [gradient for gradient in found if gradient is not None]
    rate = float(flips.double().mean())
    draws = _by_variance(torch.stack(gradients).flatten(2)) if len(gradients) == len(found) else None
    return Randomness(rate, flips.numel(), draws or _by_flips(rate))


def _by_variance(gradients: Tensor) -> int | None:
    """Draws after which the mean of ``gradients`` (draws, n, D) points within about 30 degrees of the expectation.

    The noise of the mean of m draws is ``variance / m``; the squared cosine is then ``s / (s + variance / m)`` with s
    the squared length of the expectation, and 3/4 where m is three times their ratio. None without any gradient.
    """
    gradients = gradients.double().nan_to_num(0, 0, 0)
    variance = gradients.var(0).sum(1)
    length = (gradients.mean(0).square().sum(1) - variance / len(gradients)).clamp(min=0)
    if not bool((variance > 0).any()):
        return None
    needed = 3 * variance.sum() / length.sum().clamp(min=1e-300)
    return int(min(MOST, max(LEAST, math.ceil(float(needed)))))


def _by_flips(rate: float) -> int:
    """Draws whose majority is the answer of the model with 95 % probability, for classes that flip so often."""
    away = max(0.05, 0.5 - rate)
    return int(min(MOST, max(LEAST, math.ceil(2.7 * rate * (1 - rate) / away**2))))
