"""Arrays and tensors as callers of other libraries have them, read as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.numerics.tensors import raw

_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def numbers(name: str, values: Any) -> NDArray[Any]:
    """``values`` as an array of its own, contiguous and in native byte order: whole numbers, floats or bool.

    Raises
    ------
    InvalidInput: no array of real numbers, in one shape; or some of them are masked.
    """
    values = raw(values)
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    if np.ma.is_masked(values):
        raise InvalidInput(f"{name} has masked values: fill them, or leave these samples out")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"{name} is no array ({reason}): give plain numbers in one shape") from error
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"{name} is of type {array.dtype}: give an array of real numbers")
    longer = array.dtype.kind == "f" and array.dtype.itemsize > 8
    return np.array(array, dtype=np.float64 if longer else array.dtype.newbyteorder("="), order="C")


def tensor_of(name: str, values: Any) -> Tensor:
    """``values``, a tensor, raw or eagerpy, or anything that NumPy reads, as a tensor; see :func:`numbers`.

    Unsigned numbers of more than one byte, with which torch hardly computes, become int64.
    """
    values = raw(values)
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(numbers(name, values))
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_complex():
        raise InvalidInput(f"{name} is of type {tensor.dtype}: give real numbers")
    return tensor.long() if tensor.dtype in _UNSIGNED else tensor
