"""What data plugins share: where files lie, how they are fetched and checked, how bytes become images."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import torch

from advplug.data import Images
from advplug.errors import DataUnavailable, InvalidInput

Bytes = npt.NDArray[np.uint8]


def data_folder(name: str) -> Path:
    """Folder of the data set ``name``: below ``ADVPLUG_DATA`` if that is set, otherwise below the user's cache."""
    root = os.environ.get("ADVPLUG_DATA")
    if root:
        return Path(root).expanduser() / name
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "advplug" / name


def fetch(folder: Path, name: str, urls: Sequence[str], remedy: str, known_hash: str | None = None) -> Path:
    """The file ``name`` of ``folder``, downloaded from the first of ``urls`` that answers if it is not there.

    Needs pooch, which the plugin that calls this declares. A file that is there is not hashed again. A line on stderr
    says what is downloaded, as soon as a host has answered.

    Parameters
    ----------
    folder: where the file lies or will lie.
    name: its name.
    urls: where it can be had, best first.
    remedy: what to do without a network, for the message.
    known_hash: SHA-256 of the file as downloaded, None where the caller checks the content.

    Raises
    ------
    DataUnavailable: the file is absent and no address gave it with the right hash.
    """
    path = folder / name
    if path.is_file():
        return path
    import pooch

    failures = []
    for url in urls:
        download = pooch.HTTPDownloader(progressbar=_Announcement(name, url))
        try:
            with _quiet(pooch.get_logger()):
                return Path(pooch.retrieve(url, known_hash, fname=name, path=folder, downloader=download))
        except (OSError, ValueError) as error:  # no network, no permission; wrong hash
            failures.append(f"{url}: {_why(error)}")
    raise DataUnavailable(f"no {name} in {folder}, and no download ({'; '.join(failures)}). {remedy}")


class _Announcement:
    """What pooch takes for a progress bar, and tells the size once a host has answered: one line, and none offline."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.host = name, urlsplit(url).hostname

    def _tell(self, size: int) -> None:
        print(f"downloading {self.name} from {self.host}{f', {size / 1e6:.1f} MB' if size else ''}", file=sys.stderr)

    total = property(fset=_tell)
    """Number of bytes, 0 where the host does not say; pooch sets it, and reads nothing."""

    def update(self, _: int) -> None:
        """Nothing is drawn."""

    def reset(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is drawn."""


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Without what pooch says of each attempt, before it knows whether there is a network, and of each file's hash."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _why(error: Exception) -> str:
    """The reason in a few words: of a lost connection the error itself quotes each attempt."""
    if type(error).__name__ in ("ConnectionError", "ConnectTimeout", "ReadTimeout", "SSLError", "ProxyError"):
        return "no connection"
    first = (str(error).splitlines() or [""])[0]
    return first or type(error).__name__


def check_sha256(content: bytes, expected: str, path: Path, remedy: str) -> None:
    """Refuse content of another SHA-256 (lower-case hexadecimal) than ``expected``.

    Raises
    ------
    DataUnavailable: the hash differs.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataUnavailable(f"{path}: damaged or another file (SHA-256 {found}, not {expected}). {remedy}")


def read_arrays(path: Path, remedy: str) -> tuple[Bytes, npt.NDArray[Any]]:
    """Arrays ``x`` (uint8 images) and ``y`` (integer labels) of an .npz file, never unpickled.

    Raises
    ------
    DataUnavailable: the file is absent or damaged, or holds something else.
    """
    import zipfile
    import zlib

    try:
        with np.load(path, allow_pickle=False) as archive:
            x, y = archive["x"], archive["y"]
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataUnavailable(f"{path}: not an .npz file of arrays x and y ({error}). {remedy}") from error
    if x.dtype != np.uint8 or not np.issubdtype(y.dtype, np.integer) or y.shape != x.shape[:1]:
        raise DataUnavailable(
            f"{path}: x is {x.dtype} {x.shape}, y is {y.dtype} {y.shape}, not bytes and as many labels. {remedy}"
        )
    return x, y


def check_request(splits: Sequence[str], split: str, limit: int | None) -> None:
    """Refuse a split that is not in ``splits``, or a negative limit.

    Raises
    ------
    InvalidInput: either of them.
    """
    if split not in splits:
        raise InvalidInput(f"no split {split!r}: choose one of {', '.join(splits)}")
    if limit is not None and limit < 0:
        raise InvalidInput(f"limit is {limit}: give a number of images, or None for all")


def images_of_bytes(x: Bytes, y: npt.NDArray[Any], class_names: tuple[str, ...], name: str) -> Images:
    """Images of bytes (N, C, H, W), as float32 in [0, 1], and labels (N,).

    Raises
    ------
    DataUnavailable: a label belongs to no class.
    """
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < len(class_names):
        raise DataUnavailable(f"{name}: labels {y.min()} to {y.max()}, but classes 0 to {len(class_names) - 1}")
    inputs = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).div_(255)
    return Images(inputs, torch.from_numpy(y.astype(np.int64)), class_names, name)
