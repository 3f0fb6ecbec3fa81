"""Files of arrays and tensors: .npz, .pt and .safetensors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advplug.errors import InvalidInput
from advplug.intake.arrays import PAIRS, Array, pair_in, pair_of

SUFFIXES = (".npz", ".pt", ".pth", ".safetensors")


def read_pair(path: Path) -> tuple[Any, Any]:
    """Inputs and labels of a file of arrays or tensors, under the names in ``PAIRS``; no other array of it is used.

    Raises
    ------
    InvalidInput: damaged, of another kind, or without such arrays.
    """
    if path.suffix == ".npz":
        found, present = read_archive(path, *(name for pair in PAIRS for name in pair))
        x, y = pair_in(str(path), found if len(found) > 1 else present.split(", "))
        return found[x], found[y]
    if path.suffix == ".safetensors":
        return _safetensors(path)
    with readable(f"{path}: damaged, or not a file of plain tensors: write it with torch.save((x, y), {path.name!r})"):
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    return pair_of(str(path), loaded)


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
    """Say what is wrong with a file in one line, instead of how its parser failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # files of Python 2 are read, slowly
            yield
    except Exception as error:  # whatever NumPy, zipfile, torch and their decompressors make of foreign bytes
        why = f"{error}".partition("\n")[0] or type(error).__name__
        raise InvalidInput(f"{trouble} ({why})") from error


def _safetensors(path: Path) -> tuple[Any, Any]:
    from safetensors import safe_open

    trouble = f"{path}: damaged, or not a .safetensors file"
    with readable(trouble), safe_open(path, framework="pt") as archive:
        present = list(archive.keys())
    x, y = pair_in(str(path), present)
    with readable(trouble), safe_open(path, framework="pt") as archive:
        return archive.get_tensor(x), archive.get_tensor(y)
