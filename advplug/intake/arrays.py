"""Inputs and labels from arrays of any form that people have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from advplug.errors import InvalidInput

Array = npt.NDArray[Any]

PAIRS = (("x", "y"), ("inputs", "labels"), ("images", "labels"), ("x_test", "y_test"))
"""Names under which a file or mapping holds inputs and labels; the first pair that is there counts."""

MOST = 2**62
"""The largest label that is read; a model says itself how many classes it has."""


class Labelled(NamedTuple):
    """What ``Images(*labelled)`` is made of."""

    inputs: Tensor
    labels: Tensor
    class_names: tuple[str, ...] = ()
    name: str = "images"
    pixels: bool = True

    def at(self, places: Tensor) -> Labelled:
        """Those at ``places``, int64 (n,)."""
        if torch.equal(places, torch.arange(len(self.labels))):
            return self
        return self._replace(inputs=self.inputs[places], labels=self.labels[places])


def labelled(
    name: str, x: Any, y: Any, *, dtype: torch.dtype = torch.float32, class_names: tuple[str, ...] = ()
) -> Labelled:
    """Inputs and labels from tensors, arrays or lists; ``name`` is what messages begin with.

    uint8 of shape (N, H, W), (N, H, W, C) or (N, C, H, W) are pixels, which are given as float32 in [0, 1]; floating
    point of any shape (N, ...) is taken as it is, in ``dtype``. Labels are class numbers (N,) or (N, 1), also as whole
    floating-point numbers, or one-hot (N, K).

    Raises
    ------
    InvalidInput: another form, NaN, different lengths, or labels beyond the class names.
    """
    inputs, labels = as_array(name, "x", x), as_array(name, "y", y)
    if inputs.size == 0:
        raise InvalidInput(f"{name}: x is empty, shape {inputs.shape}")
    pixels = inputs.dtype == np.uint8
    inputs = _pixels(name, inputs) if pixels else _values(name, inputs, dtype)
    labels = labels_in(name, labels)
    if len(inputs) != len(labels):
        raise InvalidInput(f"{name}: x has {len(inputs)} samples, y has {len(labels)} labels")
    found = Labelled(torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(labels), pixels=pixels)
    check_names(name, found.labels, class_names)
    return found._replace(class_names=class_names)


def check_names(name: str, labels: Tensor, class_names: tuple[str, ...]) -> None:
    """Refuse labels int64 (N,) beyond the class names, if there are some."""
    if class_names and int(labels.max()) >= len(class_names):
        largest = int(labels.max())
        raise InvalidInput(
            f"{name}: y holds the label {largest}, and there are {len(class_names)} class names: number classes from 0"
        )


def pair_in(name: str, found: Collection[str]) -> tuple[str, str]:
    """The names of inputs and labels among ``found``.

    Raises
    ------
    InvalidInput: no such pair is there; the message lists what is.
    """
    names = next((pair for pair in PAIRS if all(one in found for one in pair)), None)
    if names is None:
        wanted = " or ".join(" and ".join(pair) for pair in PAIRS)
        raise InvalidInput(f"{name}: no arrays {wanted} (it has {', '.join(map(str, found)) or 'none'})")
    return names


def pair_of(name: str, thing: Any) -> tuple[Any, Any]:
    """Inputs and labels of a tuple or list of two, or of a mapping with names of ``PAIRS``.

    Raises
    ------
    InvalidInput: something else.
    """
    if isinstance(thing, Mapping):
        x, y = pair_in(name, list(thing))
        return thing[x], thing[y]
    if isinstance(thing, tuple | list) and len(thing) == 2:
        return thing[0], thing[1]
    what = f"a {type(thing).__name__}" + (f" of {len(thing)}" if isinstance(thing, tuple | list) else "")
    raise InvalidInput(f"{name}: it holds {what}: give a tuple (x, y), or a mapping with x and y")


def as_array(name: str, part: str, value: Any) -> Array:
    """``value`` as a NumPy array, on the CPU; what NumPy has no dtype for as float32.

    Raises
    ------
    InvalidInput: it is no array.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.dequantize() if value.is_quantized else value.to_dense()
        found: Array = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        return found
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(one, Tensor) for one in value):
        value = [as_array(name, part, one) for one in value]
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{name}: {part} is a {type(value).__name__} of unlike rows: give one array") from error


def labels_in(name: str, y: Array) -> Array:
    """int64 (N,) from class numbers, also as bool or whole floating-point numbers, or from one-hot rows."""
    if y.dtype.kind not in "biuf":
        raise InvalidInput(f"{name}: y is {y.dtype}: give class numbers, integers of shape (N,)")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2:
        if not (((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()):
            raise InvalidInput(f"{name}: y has shape {y.shape} and is not one-hot: give class numbers of shape (N,)")
        y = y.argmax(axis=1)
    if y.ndim != 1:
        raise InvalidInput(f"{name}: y has shape {y.shape}, not (N,)")
    if y.size == 0:
        raise InvalidInput(f"{name}: y is empty")
    if y.dtype.kind == "f" and not (np.isfinite(y) & (y == np.floor(y))).all():
        odd = y[~(np.isfinite(y) & (y == np.floor(y)))][0]
        raise InvalidInput(f"{name}: y holds {odd}: give class numbers, integers of shape (N,)")
    if y.min() < 0 or y.max() > MOST:
        kind = "negative label" if y.min() < 0 else "label"
        raise InvalidInput(f"{name}: y holds the {kind} {y.min() if y.min() < 0 else y.max()}: classes are 0 to K - 1")
    return y.astype(np.int64)


def _pixels(name: str, x: Array) -> Array:
    """float32 (N, C, H, W) in [0, 1] from one of the accepted forms of bytes."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[-1] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise InvalidInput(
            f"{name}: uint8 x has shape {x.shape}: give images of 1 or 3 channels, and all else as floating point"
        )
    return x.astype(np.float32) / np.float32(255)


def _values(name: str, x: Array, dtype: torch.dtype) -> Array:
    """Floating-point inputs (N, ...) as they are, in ``dtype``."""
    if not np.issubdtype(x.dtype, np.floating):
        raise InvalidInput(f"{name}: x is {x.dtype}: give pixels as uint8, and all else as floating point")
    if x.ndim < 2:
        raise InvalidInput(f"{name}: x has shape {x.shape}: give one row for each sample, (N, ...)")
    if x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        raise InvalidInput(f"{name}: x of shape {x.shape} has its channels last: transpose it to (N, C, H, W)")
    if not np.isfinite(x).all():
        raise InvalidInput(f"{name}: x holds NaN or infinite values: clean the data")
    with np.errstate(over="ignore"):
        values = x.astype(np.float64 if dtype == torch.float64 else np.float32)
    if not np.isfinite(values).all():
        raise InvalidInput(f"{name}: x holds {np.abs(x).max():.6g}, too large for {values.dtype}")
    return values
