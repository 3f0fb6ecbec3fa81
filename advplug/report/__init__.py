"""The report of a finished evaluation: one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from advplug.report.sections import Section

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation

__all__ = ["Section", "write_report"]


def write_report(evaluation: Evaluation, path: Path | None = None) -> Path:
    """Write the page to ``path``, or to ``report.html`` in the evaluation's run directory, and return where it is.

    Raises
    ------
    InvalidInput: no path, and the evaluation has no run directory.
    """
    from advplug.report.page import write  # matplotlib and Jinja2: plugins that only bring a Section must not pay

    return write(evaluation, path)
