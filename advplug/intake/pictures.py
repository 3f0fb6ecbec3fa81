"""Image files of the user as arrays of bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from advplug.errors import InvalidInput

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
Bytes = npt.NDArray[np.uint8]

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error)  # what PIL raises, depending on the format


def read_pictures(files: Sequence[Path]) -> Bytes:
    """uint8 (N, H, W, C): one channel if every file is grey, three otherwise.

    Raises
    ------
    InvalidInput: see :func:`read_picture`; or the files differ in size.
    """
    return stacked([(str(file), read_picture(file)) for file in files])


def stacked(pictures: Sequence[tuple[str, Bytes]]) -> Bytes:
    """uint8 (N, H, W, C) from pairs of a name and an image (H, W, 1) or (H, W, 3); one channel if all are grey.

    Raises
    ------
    InvalidInput: they differ in size.
    """
    first, size = pictures[0][0], pictures[0][1].shape[:2]
    for name, picture in pictures:
        if picture.shape[:2] != size:
            other = picture.shape[:2]
            raise InvalidInput(f"{name} is {other[1]}x{other[0]}, {first} is {size[1]}x{size[0]}: resize them")
    found = [picture for _, picture in pictures]
    if all(picture.shape[2] == 1 for picture in found):
        return np.stack(found)
    return np.stack([np.broadcast_to(picture, (*picture.shape[:2], 3)) for picture in found])


def read_picture(file: Path) -> Bytes:
    """uint8 (H, W, 1) of a grey image, otherwise (H, W, 3); turned as its camera says.

    Raises
    ------
    InvalidInput: damaged, not of 8 bits a channel, transparent in places, or of several frames.
    """
    from PIL import Image

    try:
        with Image.open(file) as opened:
            return bytes_of(str(file), opened)
    except InvalidInput:
        raise
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise InvalidInput(f"{file}: not a readable image ({error})") from error


def bytes_of(name: str, opened: Any) -> Bytes:
    """The bytes of an image of PIL, as :func:`read_picture` gives them; ``name`` is what messages begin with."""
    from PIL import ImageOps

    _check_form(name, opened)
    picture = ImageOps.exif_transpose(opened)
    _check_opaque(name, picture)
    pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB"))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _check_form(file: str, picture: Any) -> None:
    if picture.mode.startswith(("I", "F")):
        raise InvalidInput(f"{file}: {picture.mode} pixels; convert the image to 8 bits a channel")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":  # a photo with its preview, from many cameras
        raise InvalidInput(f"{file} has {frames} frames: save the one that is meant as an image of its own")


def _check_opaque(file: str, picture: Any) -> None:
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return
    if np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
        raise InvalidInput(f"{file} is transparent in places: put it on the background that the model expects")
