"""Numerics for attacks: tensor operations, projections, hyperplanes, random numbers, Adam, a change of variable."""

from advplug.numerics.adam import Adam
from advplug.numerics.hyperplanes import Boundary
from advplug.numerics.projections import PROJECTIONS, least_scale
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tanh import TanhReparameterization
from advplug.numerics.tensors import best_other, largest, norms, per_sample, pick, raw, size, unit, wrap
from advplug.numerics.trees import choose

__all__ = [
    "PROJECTIONS",
    "Adam",
    "Boundary",
    "Noise",
    "TanhReparameterization",
    "best_other",
    "choose",
    "largest",
    "least_scale",
    "norms",
    "per_sample",
    "pick",
    "raw",
    "size",
    "unit",
    "wrap",
]
