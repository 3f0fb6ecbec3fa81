"""The IDX format of the standard MNIST files."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from advplug.data_files import Bytes
from advplug.errors import DataUnavailable


def parse_idx(content: bytes, path: Path) -> Bytes:
    """The array of bytes in an IDX file.

    The file starts with two zero bytes, the type of the values (8: unsigned bytes) and the number of dimensions, then
    gives each dimension as a big-endian 32-bit integer.

    Parameters
    ----------
    content: the decompressed file.
    path: where it came from, for messages.

    Raises
    ------
    DataUnavailable: another type, or more or fewer values than the dimensions say.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataUnavailable(f"{path}: not an IDX file of unsigned bytes (first bytes: {content[:4].hex() or 'none'})")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataUnavailable(f"{path}: the IDX header is cut off")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataUnavailable(f"{path}: {len(content) - start} values, but shape {shape} by its header")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
