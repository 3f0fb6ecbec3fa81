"""The report of a finished evaluation: one HTML page that needs no other file.

matplotlib and Jinja2 are imported when a page or a figure is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily
from advplug.records.section import Section

if TYPE_CHECKING:
    from advplug.report.page import write_report
    from advplug.report.plugin_sections import figure_section, rebuilt
    from advplug.report.style import ADAPTIVE, BASELINE, COLOURS, GRID, INK, INTERMEDIATE, figure, quiet
    from advplug.report.summary import SHORT

__all__ = [
    "ADAPTIVE",
    "BASELINE",
    "COLOURS",
    "GRID",
    "INK",
    "INTERMEDIATE",
    "SHORT",
    "Section",
    "figure",
    "figure_section",
    "quiet",
    "rebuilt",
    "write_report",
]

_STYLE = dict.fromkeys(("ADAPTIVE", "BASELINE", "COLOURS", "GRID", "INK", "INTERMEDIATE", "figure", "quiet"), ".style")
__getattr__ = lazily(
    __name__,
    {
        **_STYLE,
        "SHORT": ".summary",
        "figure_section": ".plugin_sections",
        "rebuilt": ".plugin_sections",
        "write_report": ".page",
    },
)


def __dir__() -> list[str]:
    return __all__
