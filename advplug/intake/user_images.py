"""The user's own data: an .npz file or a folder of images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.intake.image_folders import MOST, read_folder

ARRAYS = (("x", "y"), ("inputs", "labels"))
"""Names under which an .npz file holds inputs and labels."""
Array = npt.NDArray[Any]
Warn = Callable[[str], object]
"""Called with one line about data that is taken, but perhaps not as it was meant."""


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def read_images(path: Path, *, dtype: torch.dtype = torch.float32, warn: Warn = _warn) -> Images:
    """Labelled inputs from an .npz file or a folder.

    An .npz file holds ``x`` (or ``inputs``) and ``y`` (or ``labels``). uint8 of shape (N, H, W), (N, H, W, C) or
    (N, C, H, W) are pixels, which are given as float32 in [0, 1]; floating point of any shape (N, ...) is taken as it
    is, in ``dtype``. Labels are class numbers (N,) or (N, 1), also as whole floating-point numbers, or one-hot (N, K).

    A folder holds one sub-folder per class, whose label is its name if all names are numbers and its place in
    alphabetical order otherwise; or images with a label file beside them, such as ``labels.csv``; or image files whose
    label is the last number of the name, as in ``photo_00_243.png``. Files are read in alphabetical order; all have the
    same size. Hidden sub-folders are left out; one without an image keeps its place.

    Raises
    ------
    InvalidInput: the file is missing or damaged, or its content has another form; the message says which.
    """
    if path.is_dir():
        try:
            pixels, labels, names = read_folder(path, warn)
        except OSError as error:
            raise InvalidInput(f"{path}: {error}") from error
        return _images(path, _pixels(path, pixels), labels, names, pixels=True)
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file or folder")
    if path.suffix != ".npz":
        raise InvalidInput(f"{path}: give an .npz file with x and y (or inputs and labels), or a folder of images")
    return _read_npz(path, dtype)


def in_drawn_order(images: Images, limit: int | None, seed: int) -> Images:
    """``images`` in an order whose first ``limit`` are drawn evenly across the classes; as they are if all are taken.

    Folders and many files are sorted by class: their first images are all of one.
    """
    if limit is None or limit >= len(images):
        return images
    return images[drawn_order(images.labels, limit, seed)]


def drawn_order(labels: torch.Tensor, limit: int, seed: int) -> torch.Tensor:
    """The order behind :func:`in_drawn_order`, int64 (N,): places in ``labels``."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    turn = torch.empty_like(order)  # the first of each class, then the second of each, ...
    for label in labels.unique():
        own = (labels[order] == label).nonzero().squeeze(1)
        turn[own] = torch.arange(len(own))
    order = order[turn.argsort(stable=True)]
    return torch.cat((order[:limit].sort().values, order[limit:]))


def read_archive(path: Path, *names: str) -> tuple[dict[str, Array], str]:
    """The arrays of an .npz file that have one of these names, and what it has in words; no other array is read.

    Raises
    ------
    InvalidInput: damaged, or it holds something else than plain arrays.
    """
    trouble = f"{path}: damaged, or not an .npz file of plain arrays"
    with readable(trouble), np.load(path, allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive if name in names}
        present = ", ".join(archive) or "none"
    other = next((name for name, array in found.items() if not isinstance(array, np.ndarray)), None)
    if other is not None:  # NumPy gives the bytes of what is no .npy file
        raise InvalidInput(f"{path}: {other} in it is no array: write the file with numpy.savez")
    return found, present


@contextmanager
def readable(trouble: str) -> Iterator[None]:
    """Say what is wrong with a file of NumPy's in one line, instead of how its parser failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # files of Python 2 are read, slowly
            yield
    except Exception as error:  # whatever NumPy, zipfile and its decompressors make of foreign bytes
        why = f"{error}".partition("\n")[0] or type(error).__name__
        raise InvalidInput(f"{trouble} ({why})") from error


def _read_npz(path: Path, dtype: torch.dtype) -> Images:
    found, present = read_archive(path, *(name for pair in ARRAYS for name in pair))
    names = next((pair for pair in ARRAYS if all(name in found for name in pair)), None)
    if names is None:
        wanted = " or ".join(" and ".join(pair) for pair in ARRAYS)
        raise InvalidInput(f"{path}: no arrays {wanted} (it has {present})")
    x, y = (found[name] for name in names)
    if x.size == 0:
        raise InvalidInput(f"{path}: x is empty, shape {x.shape}")
    pixels = x.dtype == np.uint8
    inputs, labels = _pixels(path, x) if pixels else _values(path, x, dtype), _labels(path, y)
    if len(inputs) != len(labels):
        raise InvalidInput(f"{path}: x has {len(inputs)} samples, y has {len(labels)} labels")
    return _images(path, inputs, labels, pixels=pixels)


def _pixels(path: Path, x: Array) -> Array:
    """float32 (N, C, H, W) in [0, 1] from one of the accepted forms of bytes."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[-1] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise InvalidInput(
            f"{path}: uint8 x has shape {x.shape}: give images of 1 or 3 channels, and all else as floating point"
        )
    return x.astype(np.float32) / np.float32(255)


def _values(path: Path, x: Array, dtype: torch.dtype) -> Array:
    """Floating-point inputs (N, ...) as they are, in ``dtype``."""
    if not np.issubdtype(x.dtype, np.floating):
        raise InvalidInput(f"{path}: x is {x.dtype}: give pixels as uint8, and all else as floating point")
    if x.ndim < 2:
        raise InvalidInput(f"{path}: x has shape {x.shape}: give one row for each sample, (N, ...)")
    if x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        raise InvalidInput(f"{path}: x of shape {x.shape} has its channels last: transpose it to (N, C, H, W)")
    if not np.isfinite(x).all():
        raise InvalidInput(f"{path}: x holds NaN or infinite values: clean the data")
    with np.errstate(over="ignore"):
        values = x.astype(np.float64 if dtype == torch.float64 else np.float32)
    if not np.isfinite(values).all():
        raise InvalidInput(f"{path}: x holds {np.abs(x).max():.6g}, too large for {values.dtype}")
    return values


def _labels(path: Path, y: Array) -> Array:
    """int64 (N,) from class numbers, also as bool or whole floating-point numbers, or from one-hot rows."""
    if y.dtype.kind not in "biuf":
        raise InvalidInput(f"{path}: y is {y.dtype}: give class numbers, integers of shape (N,)")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2:
        if not (((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()):
            raise InvalidInput(f"{path}: y has shape {y.shape} and is not one-hot: give class numbers of shape (N,)")
        y = y.argmax(axis=1)
    if y.ndim != 1:
        raise InvalidInput(f"{path}: y has shape {y.shape}, not (N,)")
    if y.size == 0:
        raise InvalidInput(f"{path}: y is empty")
    if y.dtype.kind == "f" and not (np.isfinite(y) & (y == np.floor(y))).all():
        odd = y[~(np.isfinite(y) & (y == np.floor(y)))][0]
        raise InvalidInput(f"{path}: y holds {odd}: give class numbers, integers of shape (N,)")
    if y.min() < 0 or y.max() > MOST:
        kind = "negative label" if y.min() < 0 else "label"
        raise InvalidInput(f"{path}: y holds the {kind} {y.min() if y.min() < 0 else y.max()}: classes are 0 to K - 1")
    return y.astype(np.int64)


def _images(path: Path, inputs: Array, labels: Array, names: tuple[str, ...] = (), *, pixels: bool) -> Images:
    x = torch.from_numpy(np.ascontiguousarray(inputs))
    return Images(x, torch.from_numpy(labels), names, path.stem, pixels=pixels)
