"""Foolbox's distances by our names."""

from __future__ import annotations

import math
from typing import Any, cast

from foolbox import distances

from advplug.attack import Attack
from advplug.threat import Norm

_NORMS: dict[float, Norm] = {0: "l0", 1: "l1", 2: "l2", math.inf: "linf"}


def norm_of(distance: Any) -> Norm | None:
    """The norm that a Foolbox distance measures; None if it is none of ours."""
    return _NORMS.get(getattr(distance, "p", math.nan))


def usual_norm(attack: Attack) -> Norm:
    """The norm of a call that names none: linf if the attack works under it, else the first of its norms."""
    return "linf" if "linf" in attack.norms else cast(Norm, attack.norms[0])


def distance_of(attack: Attack) -> Any:
    """The Foolbox distance of :func:`usual_norm`, which is that of an attack with one norm."""
    return getattr(distances, usual_norm(attack))
