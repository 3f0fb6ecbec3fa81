"""Where the attacks run, as the command line names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.cli._counts import whole
from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from advplug.evaluation.executors import Executor

SHARD = "shard-{}-of-{}"
"""Name of the directory of a share."""

MOST = 4096


def read_executor(name: str | None, workers: str | None, threads: int | None) -> Executor:
    """``--executor``, ``--workers`` and ``--threads``: this process, several, or those of a Ray cluster.

    Raises
    ------
    InvalidInput: there is no such executor, or the number of workers is none.
    """
    from advplug.evaluation.executors import Inline, Processes, Ray

    count = 0 if workers in (None, "auto") else whole(workers or "")
    if count is None or (count == 0 and workers not in (None, "auto")) or count > MOST:
        raise InvalidInput(f"--workers {workers}: give a number of processes from 1 to {MOST}, or auto")
    if name is None:
        name = "inline" if workers in (None, "1") else "processes"
    if name == "inline" and count <= 1 and workers != "auto":
        return Inline(threads)
    if name == "processes":
        return Processes(count, threads)
    if name == "ray" or name.startswith(("ray://", "ray:")):
        address = name if name.startswith("ray://") else name.removeprefix("ray").removeprefix(":")
        return Ray(address or None, count, threads or 1)
    if name == "inline":
        raise InvalidInput(f"--executor inline has one worker: leave --workers {workers} out")
    raise InvalidInput(f"--executor {name}: write inline, processes, ray, ray:HOST:PORT or ray://HOST:PORT")


def read_share(text: str | None) -> tuple[int, int] | None:
    """``--shard i/n`` as two numbers.

    Raises
    ------
    InvalidInput: another form, or i is not among 1 to n.
    """
    if text is None:
        return None
    first, _, second = text.partition("/")
    number, count = whole(first.strip()), whole(second.strip())
    if not number or not count or number > count or count > MOST:
        raise InvalidInput(f"--shard {text}: write i/n, such as 3/8, with i from 1 to n")
    return number, count
