"""What Ctrl-C leaves behind: one sentence on what is kept, where, and how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interruptible(kept: str | Callable[[], str]) -> Iterator[None]:
    """Say ``kept``, or what it returns by then, to who interrupts the block, unless a block inside it knows more."""
    try:
        yield
    except KeyboardInterrupt as error:
        if str(error):
            raise
        raise KeyboardInterrupt(f"interrupted: {kept if isinstance(kept, str) else kept()}") from error
