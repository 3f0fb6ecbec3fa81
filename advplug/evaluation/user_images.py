"""The user's own images: an .npz file or a folder."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from advplug.data import Images
from advplug.errors import InvalidInput

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
LABEL = re.compile(r"(?:^|.*[^0-9])([0-9]+)")
ARRAYS = (("x", "y"), ("inputs", "labels"))
"""Names under which an .npz file holds images and labels."""
Array = npt.NDArray[Any]


def read_images(path: Path) -> Images:
    """Labelled images from an .npz file or a folder.

    An .npz file holds ``x`` (or ``inputs``), uint8 of shape (N, H, W), (N, H, W, C) or (N, C, H, W), or floating point
    of shape (N, C, H, W) with values in [0, 1], and ``y`` (or ``labels``), integers of shape (N,). A folder holds one
    sub-folder per class, whose label is its name if all names are numbers and its place in alphabetical order
    otherwise; or image files whose label is the last number of the name, as in ``photo_00_243.png``. Files are read in
    alphabetical order; all have the same size. Hidden sub-folders are left out; one without an image keeps its place.

    Raises
    ------
    InvalidInput: the file is missing or damaged, or its content has another form; the message says which.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file or folder")
    if path.suffix != ".npz":
        raise InvalidInput(f"{path}: give an .npz file with x and y (or inputs and labels), or a folder of images")
    return _read_npz(path)


def in_drawn_order(images: Images, limit: int | None, seed: int) -> Images:
    """``images`` in an order whose first ``limit`` are drawn evenly across the classes; as they are if all are taken.

    Folders and many files are sorted by class: their first images are all of one.
    """
    if limit is None or limit >= len(images):
        return images
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    turn = torch.empty_like(order)  # the first of each class, then the second of each, ...
    for label in images.labels.unique():
        own = (images.labels[order] == label).nonzero().squeeze(1)
        turn[own] = torch.arange(len(own))
    order = order[turn.argsort(stable=True)]
    return images[torch.cat((order[:limit].sort().values, order[limit:]))]


def _read_npz(path: Path) -> Images:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = next((pair for pair in ARRAYS if all(name in archive for name in pair)), None)
            if names is None:
                wanted = " or ".join(" and ".join(pair) for pair in ARRAYS)
                raise InvalidInput(f"{path}: no arrays {wanted} (it has {', '.join(archive) or 'none'})")
            x, y = (archive[name] for name in names)
    except InvalidInput:
        raise
    except (OSError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path}: not an .npz file of plain arrays ({error})") from error
    inputs, labels = _inputs(path, x), _labels(path, y)
    if len(inputs) != len(labels):
        raise InvalidInput(f"{path}: x has {len(inputs)} images, y has {len(labels)} labels")
    return _images(path, inputs, labels)


def _inputs(path: Path, x: Array) -> Array:
    """float32 (N, C, H, W) in [0, 1] from one of the accepted forms."""
    if x.size == 0:
        raise InvalidInput(f"{path}: x is empty, shape {x.shape}")
    if x.dtype == np.uint8:
        if x.ndim == 3:
            x = x[:, None]
        elif x.ndim == 4 and x.shape[-1] in (1, 3):
            x = x.transpose(0, 3, 1, 2)
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise InvalidInput(f"{path}: uint8 x has shape {x.shape}: give images of 1 or 3 channels")
        return x.astype(np.float32) / np.float32(255)
    if not np.issubdtype(x.dtype, np.floating):
        raise InvalidInput(f"{path}: x is {x.dtype}, not uint8 in 0..255 or floating point in [0, 1]")
    if x.ndim != 4:
        raise InvalidInput(f"{path}: floating-point x has shape {x.shape}, not (N, C, H, W)")
    if x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        raise InvalidInput(f"{path}: x of shape {x.shape} has its channels last: transpose it to (N, C, H, W)")
    if np.isnan(x).any():
        raise InvalidInput(f"{path}: x holds NaN")
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        remedy = ": divide by 255" if low >= 0 and 2 < high <= 255 else ""
        raise InvalidInput(f"{path}: x ranges over [{low:.6g}, {high:.6g}], outside [0, 1]{remedy}")
    return x.astype(np.float32)


def _labels(path: Path, y: Array) -> Array:
    if not np.issubdtype(y.dtype, np.integer):
        raise InvalidInput(f"{path}: y is {y.dtype}, not integers")
    if y.ndim != 1:
        raise InvalidInput(f"{path}: y has shape {y.shape}, not (N,)")
    if (y < 0).any():
        raise InvalidInput(f"{path}: y holds the negative label {y.min()}")
    return y.astype(np.int64)


def _read_folder(path: Path) -> Images:
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    names: tuple[str, ...] = ()
    if any(map(_files, folders)):
        if len(folders) == 1:
            raise InvalidInput(
                f"{path}: {folders[0].name} is the only sub-folder and would be the only class: put the images of each "
                "class into a sub-folder, or name the folder itself if its file names end in _LABEL"
            )
        numbered = all(folder.name.isdecimal() for folder in folders)
        if not numbered:
            names = tuple(folder.name for folder in folders)
        pairs = [
            (file, int(folder.name) if numbered else place)
            for place, folder in enumerate(folders)
            for file in _files(folder)
        ]
    else:
        pairs = [(file, _label_in_name(file)) for file in _files(path)]
    if not pairs:
        raise InvalidInput(f"{path}: no images ({', '.join(sorted(SUFFIXES))}) in the folder or its sub-folders")
    pixels = _pixels([file for file, _ in pairs])
    return _images(path, _inputs(path, pixels), np.array([label for _, label in pairs], dtype=np.int64), names)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def _label_in_name(file: Path) -> int:
    found = LABEL.fullmatch(file.stem)
    if found is None:
        raise InvalidInput(f"{file}: put images in one sub-folder per class, or end the name in _LABEL")
    return int(found[1])


def _pixels(files: Sequence[Path]) -> Array:
    """uint8 (N, H, W, C): one channel if every file is grey, three otherwise."""
    from PIL import Image, UnidentifiedImageError

    pictures = []
    for file in files:
        try:
            with Image.open(file) as picture:
                if picture.mode.startswith(("I", "F")):
                    raise InvalidInput(f"{file}: {picture.mode} pixels; convert the image to 8 bits a channel")
                grey = picture.mode in ("1", "L")
                pictures.append((np.asarray(picture.convert("L" if grey else "RGB")), grey))
        except (UnidentifiedImageError, OSError) as error:
            raise InvalidInput(f"{file}: not a readable image ({error})") from error
        if pictures[-1][0].shape[:2] != pictures[0][0].shape[:2]:
            first, other = pictures[0][0].shape[:2], pictures[-1][0].shape[:2]
            raise InvalidInput(f"{file} is {other[1]}x{other[0]}, {files[0]} is {first[1]}x{first[0]}: resize them")
    all_grey = all(grey for _, grey in pictures)
    channels = [array if all_grey or not grey else np.stack([array] * 3, axis=-1) for array, grey in pictures]
    return np.stack(channels)


def _images(path: Path, inputs: Array, labels: Array, names: tuple[str, ...] = ()) -> Images:
    classes = names or tuple(str(label) for label in range(int(labels.max()) + 1))
    return Images(torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(labels), classes, path.stem)
