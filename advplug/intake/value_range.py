"""Inputs in the range that a model takes: pixels are rescaled to it, other values must lie in it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.numerics.tensors import rounded_inwards

Bounds = tuple[float, float] | tuple[NDArray[np.float64], NDArray[np.float64]]
"""The range of every value, or of each by itself: two arrays of the shape of one input."""


def span(bounds: Bounds) -> tuple[float, float]:
    """The least lower and the greatest upper bound."""
    return float(np.min(bounds[0])), float(np.max(bounds[1]))


def rounded(bounds: Bounds, dtype: torch.dtype) -> Bounds:
    """Arrays of ``bounds`` rounded as inputs of ``dtype`` are, so that an input on its bound stays within."""
    if np.ndim(bounds[0]) == 0 or dtype == torch.float64:
        return bounds
    lower, upper = (np.asarray(bound, np.float32).astype(np.float64) for bound in bounds)
    return lower, upper


def in_range(images: Images, bounds: Bounds, name: str, *, option: str = "") -> Images:
    """``images`` within ``bounds``, whose ends are rounded inwards to the dtype of the inputs.

    Parameters
    ----------
    name: of the data in messages.
    option: that changes the bounds, such as ``--bounds``; empty for none.

    Raises
    ------
    InvalidInput: a value outside; pixels outside [0, 1], or beside arrays that do not span that; arrays of another
        shape.
    """
    lower, upper = (torch.as_tensor(bound, dtype=torch.float64) for bound in bounds)
    inputs = images.inputs
    if images.pixels and not within_unit_range(images):
        raise InvalidInput(f"{name}: pixels outside [0, 1]: rescale them, or say pixels=False of these Images")
    try:
        torch.broadcast_to(lower, inputs.shape[1:]), torch.broadcast_to(upper, inputs.shape[1:])
    except RuntimeError as error:
        shapes = f"{tuple(lower.shape)}, an input of {name} has {tuple(inputs.shape[1:])}"
        raise InvalidInput(f"{option or 'bounds'}: the arrays have shape {shapes}: make them alike") from error
    if images.pixels and lower.ndim == 0:
        inputs = (lower + (upper - lower) * inputs.double()).to(inputs.dtype)
    else:
        if images.pixels and span(bounds) != (0, 1):
            least, most = (f"{end:.6g}" for end in span(bounds))
            raise InvalidInput(
                f"{name}: pixels lie in [0, 1], and the bounds of each value in [{least}, {most}]: give an .npz file "
                "of floating-point inputs within them"
            )
        _check(inputs, lower, upper, name, option)
    low, high = rounded_inwards(lower, upper, inputs.dtype)
    return replace(images, inputs=torch.minimum(torch.maximum(inputs, low), high))


def within_unit_range(images: Images) -> bool:
    """Whether all values lie in [0, 1]."""
    return float(images.inputs.min()) >= 0 and float(images.inputs.max()) <= 1


def _check(inputs: Tensor, lower: Tensor, upper: Tensor, name: str, option: str) -> None:
    """Refuse values outside, but for the rounding of a bound to the dtype of the inputs."""
    outside = (inputs < lower.to(inputs.dtype)) | (inputs > upper.to(inputs.dtype))
    if not bool(outside.any()):
        return
    if lower.ndim + upper.ndim:
        where = tuple(int(number) for number in outside.nonzero()[0])
        ends = (float(torch.broadcast_to(bound, inputs.shape)[where]) for bound in (lower, upper))
        low, high = (f"{end:.6g}" for end in ends)
        value = float(inputs[where])
        remedy = f"correct it, or {option}" if option else "correct it"
        raise InvalidInput(f"{name}: x{list(where)} is {value:.6g}, outside its bounds [{low}, {high}]: {remedy}")
    least, most = float(inputs.min()), float(inputs.max())
    found = f"x ranges over [{least:.6g}, {most:.6g}], outside the bounds [{float(lower):.6g}, {float(upper):.6g}]"
    low, high = _suggested(least, most, image=inputs.ndim > 2)
    remedies = [f"give their range as {option}={low},{high}"] if option else ["rescale it"]
    if (low, high) == ("0", "255"):
        remedies.append("divide by 255")
    raise InvalidInput(f"{name}: {found}: {', or '.join(remedies)}")


def _suggested(least: float, most: float, *, image: bool) -> tuple[str, str]:
    """A usual range around [``least``, ``most``], otherwise whole numbers around it."""
    for low, high in ((0, 1), (-1, 1), (0, 255)):
        if low <= least and most <= high and (high == 1 or (image and most > 2)):
            return str(low), str(high)
    return f"{math.floor(least):.17g}", f"{math.ceil(most):.17g}"
