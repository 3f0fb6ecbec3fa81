"""MNIST: digits that ship, and the standard sets from their four files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from advplug.data import Dataset, Images
from advplug.data_files import Bytes, check_request, check_sha256, data_folder, fetch, images_of_bytes, read_arrays
from advplug.errors import DataUnavailable
from advplug_data_mnist._idx import parse_idx

SHIPPED = Path(__file__).parent / "digits.npz"
MIRRORS = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/")

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
# Of the decompressed content: the same digits compressed by another program are as good.
SHA256 = {
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

FEW = 10_000
"""Images of the split ``train-few``."""


class MNIST(Dataset):
    """Handwritten digits, float32 (N, 1, 28, 28) in [0, 1], from LeCun et al. 1998.

    Splits: ``shipped``, 10,000 training digits that come with the package, the classes taking turns; ``train`` and
    ``test``, the standard 60,000 and 10,000; ``train-disjoint``, the 50,000 of ``train`` that are not shipped, so that
    what is trained on them can be judged on the shipped ones; ``train-few``, the first 10,000 of these.

    Parameters
    ----------
    folder: where the four standard files lie or are downloaded to; by default ``mnist`` below ``ADVPLUG_DATA``, or
        below the user's cache.
    """

    splits: ClassVar[tuple[str, ...]] = ("shipped", "train", "train-disjoint", "train-few", "test")
    shape: ClassVar[tuple[int, int, int] | None] = (1, 28, 28)
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_folder("mnist")

    def load(self, split: str, limit: int | None = None) -> Images:
        """The first ``limit`` images of ``split``; see :class:`advplug.Dataset`."""
        check_request(self.splits, split, limit)
        if split == "shipped":
            x, y = read_arrays(SHIPPED, "Reinstall advplug-data-mnist.")
        elif split == "train-disjoint":
            x, y = self._disjoint()
        elif split == "train-few":
            x, y = (part[:FEW] for part in self._disjoint())
        else:
            x, y = self._standard(split)
        return images_of_bytes(x[:limit, None], y[:limit], self.class_names, f"mnist-{split}")

    def _disjoint(self) -> tuple[Bytes, npt.NDArray[Any]]:
        """The training digits that no shipped one equals byte for byte."""
        shipped = {image.tobytes() for image in read_arrays(SHIPPED, "Reinstall advplug-data-mnist.")[0]}
        x, y = self._standard("train")
        kept = np.array([image.tobytes() not in shipped for image in x])
        return x[kept], y[kept]

    def _standard(self, split: str) -> tuple[Bytes, npt.NDArray[Any]]:
        x, y = (self._read(name) for name in FILES[split])
        return x, y

    def _read(self, name: str) -> Bytes:
        remedy = (
            f"Put the four standard files {', '.join(SHA256)} into {self.folder}, or set ADVPLUG_DATA to the folder "
            "that holds mnist; the split 'shipped' needs none."
        )
        path = fetch(self.folder, name, [mirror + name for mirror in MIRRORS], remedy)
        try:
            content = gzip.decompress(path.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise DataUnavailable(f"{path}: not a gzip file ({error}). Delete it and try again. {remedy}") from error
        check_sha256(content, SHA256[name], path, f"Delete it and try again. {remedy}")
        return parse_idx(content, path)
