"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEFT_OVER = ".{}.*.part.*"
"""Names of what a process leaves behind that was killed while it wrote the file of that name, as a pattern."""

_NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
"""What file systems answer that cannot flush a folder; the file itself is on the disk by then."""


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, force it to the disk, then rename it, which is atomic.

    A reader never sees half a file, and a failed or interrupted write leaves what stood there as it was.

    Raises
    ------
    OSError: the disk is full, the folder is gone, or there is no permission.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=f".part{path.suffix}")
    temporary = Path(name)
    try:
        os.close(handle)
        write(temporary)
        temporary.chmod(0o644)  # mkstemp makes files private
        _flush(temporary)
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the disk hold a file or folder before going on."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only what it may write
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(path: Path) -> None:
    if sys.platform == "win32":  # opens no folders
        return
    try:
        _flush(path)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
