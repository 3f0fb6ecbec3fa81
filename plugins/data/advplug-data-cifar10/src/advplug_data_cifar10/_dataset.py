"""CIFAR-10 from the standard binary version or from the user's own arrays."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from advplug.data import Dataset, Images
from advplug.data_files import Bytes, check_request, data_folder, fetch, images_of_bytes, read_arrays
from advplug.errors import DataUnavailable

ARCHIVE = "cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
URLS = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
INNER = "cifar-10-batches-bin"
FILES = {"test": ("test_batch.bin",), "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6))}
PIXELS = 3 * 32 * 32
PER_FILE = 10_000


class CIFAR10(Dataset):
    """Colour images of ten classes, float32 (N, 3, 32, 32) in [0, 1], from Krizhevsky 2009.

    Splits: ``test`` and ``train``. Taken from the first of these that the folder has: ``test.npz`` or ``train.npz``
    (``x`` uint8 (N, 32, 32, 3), ``y`` integers 0 to 9); the .bin files of the binary version, in the folder itself or
    in ``cifar-10-batches-bin``; its archive ``cifar-10-binary.tar.gz``. The archive is downloaded if there is none.

    Parameters
    ----------
    folder: where these files lie; by default ``cifar10`` below ``ADVPLUG_DATA``, or below the user's cache.
    """

    splits: ClassVar[tuple[str, ...]] = ("test", "train")
    shape: ClassVar[tuple[int, int, int] | None] = (3, 32, 32)
    class_names: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_folder("cifar10")

    def load(self, split: str, limit: int | None = None) -> Images:
        """The first ``limit`` images of ``split``; see :class:`advplug.Dataset`."""
        check_request(self.splits, split, limit)
        own = self.folder / f"{split}.npz"
        x, y = self._read_own(own) if own.is_file() else self._read_binary(split)
        return images_of_bytes(x[:limit], y[:limit], self.class_names, f"cifar10-{split}")

    def _read_own(self, path: Path) -> tuple[Bytes, npt.NDArray[Any]]:
        x, y = read_arrays(path, self._remedy())
        if x.shape[1:] != (32, 32, 3):
            raise DataUnavailable(f"{path}: x has shape {x.shape}, not (N, 32, 32, 3). {self._remedy()}")
        return x.transpose(0, 3, 1, 2), y

    def _read_binary(self, split: str) -> tuple[Bytes, npt.NDArray[Any]]:
        for folder in (self.folder, self.folder / INNER):
            paths = [folder / name for name in FILES[split]]
            if all(path.is_file() for path in paths):
                return parse_records(b"".join(path.read_bytes() for path in paths), folder, len(paths))
        path = fetch(self.folder, ARCHIVE, URLS, self._remedy(), SHA256)
        try:
            with tarfile.open(path, "r:gz") as archive:
                members = [archive.extractfile(f"{INNER}/{name}") for name in FILES[split]]
                content = b"".join(member.read() for member in members if member is not None)
        except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
            raise DataUnavailable(
                f"{path}: damaged or another archive ({error}). Delete it and try again. {self._remedy()}"
            ) from error
        return parse_records(content, path, len(FILES[split]))

    def _remedy(self) -> str:
        return (
            f"Put {ARCHIVE}, its .bin files, or your own train.npz and test.npz (x uint8 (N, 32, 32, 3), y) into "
            f"{self.folder}, or set ADVPLUG_DATA to the folder that holds cifar10."
        )


def parse_records(content: bytes, path: Path, files: int) -> tuple[Bytes, npt.NDArray[Any]]:
    """Images (N, 3, 32, 32) and labels (N,) of the binary version: a label byte, then red, green and blue planes.

    Raises
    ------
    DataUnavailable: not ``files`` times 10,000 records.
    """
    if len(content) != files * PER_FILE * (1 + PIXELS):
        raise DataUnavailable(
            f"{path}: {len(content)} bytes, not {files} x {PER_FILE} records of {1 + PIXELS}. "
            "Delete the .bin files and try again."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXELS)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]
