"""Arrays in settings: they cannot change, are compared by content, and print short."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advplug.errors import InvalidInput


class FixedArray:
    """A read-only copy of an array, so that frozen dataclasses may hold one.

    Parameters
    ----------
    values: an array, nested lists, a tensor of any library, or a FixedArray.
    name: what the message calls it.
    dtype: of the copy.

    Raises
    ------
    InvalidInput: no array of plain numbers.
    """

    __slots__ = ("array",)

    array: NDArray[Any]

    def __init__(self, values: Any, *, name: str, dtype: type = np.float64) -> None:
        if isinstance(values, FixedArray):
            values = values.array
        try:
            if hasattr(values, "detach"):  # a tensor, on whichever device
                values = values.detach().cpu().tolist()
            array = np.array(values)
            if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
                raise ValueError(f"of type {array.dtype}")
            if dtype is np.bool_ and not np.isin(array, (0, 1)).all():
                raise ValueError("with other values than 0 and 1")
        except (ValueError, TypeError, RuntimeError) as error:
            raise InvalidInput(f"{name} is an array {error}: give plain numbers in one shape") from error
        self.array = array.astype(dtype)
        self.array.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixedArray) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash(self.array.tobytes())

    def __repr__(self) -> str:
        digest = hashlib.sha256(np.ascontiguousarray(self.array).tobytes()).hexdigest()[:12]
        return f"<{self.array.dtype} {self.array.shape} {digest}>"

    def __getstate__(self) -> NDArray[Any]:
        return self.array

    def __setstate__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.array.setflags(write=False)
