"""The report of a finished evaluation, and the comparison of several: HTML pages that need no other file.

matplotlib and Jinja2 are imported when a page or a figure is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily
from advplug.records.section import Section

if TYPE_CHECKING:
    from advplug.report.comparison import compare
    from advplug.report.comparison_page import write_comparison
    from advplug.report.looks import colours
    from advplug.report.page import write_report
    from advplug.report.plugin_sections import figure_section, rebuilt
    from advplug.report.search_page import write_search_report
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
    "colours",
    "compare",
    "figure",
    "figure_section",
    "quiet",
    "rebuilt",
    "write_comparison",
    "write_report",
    "write_search_report",
]

_STYLE = dict.fromkeys(("ADAPTIVE", "BASELINE", "COLOURS", "GRID", "INK", "INTERMEDIATE", "figure", "quiet"), ".style")
__getattr__ = lazily(
    __name__,
    {
        **_STYLE,
        "SHORT": ".summary",
        "colours": ".looks",
        "compare": ".comparison",
        "figure_section": ".plugin_sections",
        "rebuilt": ".plugin_sections",
        "write_comparison": ".comparison_page",
        "write_report": ".page",
        "write_search_report": ".search_page",
    },
)


def __dir__() -> list[str]:
    return __all__
