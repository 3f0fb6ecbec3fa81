"""The user's own data: a file of arrays or tensors, a folder of images, or a folder of Hugging Face datasets."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.intake.archives import SUFFIXES, read_pair
from advplug.intake.arrays import labelled
from advplug.intake.drawing import drawn_order
from advplug.intake.image_folders import read_folder
from advplug.intake.saved_datasets import is_saved, open_saved
from advplug.intake.sources import Source, held

Warn = Callable[[str], object]
"""Called with one line about data that is taken, but perhaps not as it was meant."""


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def read_images(path: Path, *, dtype: torch.dtype = torch.float32, warn: Warn = _warn) -> Images:
    """Labelled inputs from a file or a folder, all of them; see :func:`open_file`."""
    return Images(*open_file(path, dtype=dtype, warn=warn).drawn(None).samples)


def open_file(path: Path, *, dtype: torch.dtype = torch.float32, warn: Warn = _warn) -> Source:
    """The labelled inputs of a file or a folder.

    An .npz, .pt, .pth or .safetensors file holds ``x`` and ``y``, or another pair of ``PAIRS``; a .pt file also a tuple
    of both. See :func:`.arrays.labelled` for the forms that they may have.

    A folder holds one sub-folder per class, whose label is its name if all names are numbers and its place in
    alphabetical order otherwise; or images with a label file beside them, such as ``labels.csv``; or image files whose
    label is the last number of the name, as in ``photo_00_243.png``. Files are read in alphabetical order; all have the
    same size. Hidden sub-folders are left out; one without an image keeps its place. Or it was made by ``save_to_disk``
    of Hugging Face datasets.

    Raises
    ------
    InvalidInput: the file is missing or damaged, or its content has another form; the message says which.
    """
    if path.is_dir() and is_saved(path):
        return open_saved(path, dtype)
    if path.is_dir():
        try:
            pixels, labels, names = read_folder(path, warn)
        except OSError as error:
            raise InvalidInput(f"{path}: {error}") from error
        return held(labelled(str(path), pixels, labels, class_names=names)._replace(name=path.stem))
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file or folder")
    if path.suffix not in SUFFIXES:
        raise InvalidInput(
            f"{path}: give an .npz file with x and y (or inputs and labels), a .pt or .safetensors file of such "
            "tensors, or a folder of images"
        )
    return held(labelled(str(path), *read_pair(path), dtype=dtype)._replace(name=path.stem))


def in_drawn_order(images: Images, limit: int | None, seed: int) -> Images:
    """``images`` in an order whose first ``limit`` are drawn evenly across the classes; as they are if all are taken.

    Folders and many files are sorted by class: their first images are all of one.
    """
    if limit is None or limit >= len(images):
        return images
    return images[drawn_order(images.labels, limit, seed)]
