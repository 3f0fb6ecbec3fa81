"""Intervals of shares."""

from __future__ import annotations

import math


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``trials`` (Wilson 1927); all of [0, 1] for none."""
    if trials <= 0:
        return 0.0, 1.0
    z = 1.959964
    width = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    centre, scale = share + z * z / (2 * trials), 1 + z * z / trials
    return max(0.0, (centre - width) / scale), min(1.0, (centre + width) / scale)
