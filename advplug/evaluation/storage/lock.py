"""One process at a time writes into a run directory.

The lock is the operating system's (``flock`` on a file), so that of a process that died is free at once; what the file
holds only says to others who has it.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from advplug.errors import InvalidInput

if sys.platform != "win32":
    import fcntl

NAME = ".advplug.lock"
"""Not ".lock", which may be the user's own: the file is emptied and removed."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
_held: set[Any] = set()


@contextmanager
def locked(folder: Path, tell: Callable[[str], object]) -> Iterator[None]:
    """Keep other processes from writing into ``folder``; ``tell`` hears where that is not to be had.

    Raises
    ------
    InvalidInput: another one writes there; the message says who.
    OSError: the folder cannot be written.
    """
    file = _claim(folder / NAME)
    if file is None:
        tell(f"{folder} cannot be locked on this system: start no second run that writes there")
        yield
        return
    _held.add(file)
    try:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
        file.truncate(0)
        file.write(json.dumps(holder))
        file.flush()
        yield
    finally:
        with suppress(OSError):  # the file may stay: what counts is the lock
            if _stands_at(folder / NAME, file):
                (folder / NAME).unlink()
        _held.discard(file)
        file.close()  # which frees the lock


def _claim(path: Path) -> Any:
    """The open and locked file, None where there are no locks."""
    while sys.platform != "win32":
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _stands_at(path, file):
                return file
        except BlockingIOError:
            file.seek(0)
            holder = _named(file.read())
            file.close()
            raise InvalidInput(f"{path.parent} is in use by {holder}: wait, or give another --out") from None
        except OSError as error:
            file.close()
            if error.errno in _NO_LOCKS:
                return None
            raise
        file.close()  # who had it removed the file between the two calls: try the new one
    return None


def _stands_at(path: Path, file: Any) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _named(text: str) -> str:
    """The process that wrote ``text`` into its lock."""
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, TypeError, KeyError):  # it has not written that yet
        return "another process"


def _let_go_in_child() -> None:
    """A forked child, such as a loader's worker, shares the lock and must not keep it when its parent has died."""
    for file in _held:
        file.close()
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go_in_child)
