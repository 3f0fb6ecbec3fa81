"""Numerics for attacks: tensor operations, projections, hyperplanes, random numbers, Adam, a change of variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.numerics.adam import Adam
    from advplug.numerics.hyperplanes import Boundary
    from advplug.numerics.projections import PROJECTIONS, least_scale
    from advplug.numerics.random_numbers import Noise
    from advplug.numerics.tanh import TanhReparameterization
    from advplug.numerics.tensors import (
        as_images,
        best_other,
        largest,
        norms,
        on_grid,
        per_sample,
        pick,
        raw,
        size,
        unit,
        wrap,
    )
    from advplug.numerics.trees import choose

__all__ = [
    "PROJECTIONS",
    "Adam",
    "Boundary",
    "Noise",
    "TanhReparameterization",
    "as_images",
    "best_other",
    "choose",
    "largest",
    "least_scale",
    "norms",
    "on_grid",
    "per_sample",
    "pick",
    "raw",
    "size",
    "unit",
    "wrap",
]

# a threat model, which needs no torch, takes its arrays and numbers from here
__getattr__ = lazily(
    __name__,
    {
        "PROJECTIONS": ".projections",
        "Adam": ".adam",
        "Boundary": ".hyperplanes",
        "Noise": ".random_numbers",
        "TanhReparameterization": ".tanh",
        "as_images": ".tensors",
        "best_other": ".tensors",
        "choose": ".trees",
        "largest": ".tensors",
        "least_scale": ".projections",
        "norms": ".tensors",
        "on_grid": ".tensors",
        "per_sample": ".tensors",
        "pick": ".tensors",
        "raw": ".tensors",
        "size": ".tensors",
        "unit": ".tensors",
        "wrap": ".tensors",
    },
)
