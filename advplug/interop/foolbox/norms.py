"""Foolbox's distances by our names."""

from __future__ import annotations

import math
from typing import Any

from advplug.threat import Norm

_NORMS: dict[float, Norm] = {0: "l0", 1: "l1", 2: "l2", math.inf: "linf"}


def norm_of(distance: Any) -> Norm | None:
    """The norm that a Foolbox distance measures; None if it is none of ours."""
    return _NORMS.get(getattr(distance, "p", math.nan))
