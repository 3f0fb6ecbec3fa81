"""Long lines in a terminal: broken between words, with what follows set in. Away from a terminal they stay whole."""

from __future__ import annotations

import shutil
import sys
import textwrap

_LEAST = 40  # a terminal narrower than this breaks the lines itself


def columns() -> int | None:
    """How many columns the terminal has that stdout goes to, None away from one."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    found = shutil.get_terminal_size().columns
    return found if found >= _LEAST else None


def folded(start: str, text: str, indent: int) -> str:
    """``start`` and ``text``, whose further lines stand ``indent`` columns in."""
    width = columns()
    if width is None:
        return f"{start}{text}"
    return textwrap.fill(
        f"{start}{text}", width, subsequent_indent=" " * indent, break_on_hyphens=False, break_long_words=False
    )
