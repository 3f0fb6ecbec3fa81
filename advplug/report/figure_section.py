"""A figure as a section of the report."""

from __future__ import annotations

from html import escape

from matplotlib.figure import Figure

from advplug.records.section import Section
from advplug.report.style import data_uri


def figure_section(title: str, drawn: Figure, *, alt: str, caption: str) -> Section:
    """The section that shows ``drawn`` over its caption, as the page's own sections do.

    Parameters
    ----------
    title, caption: plain text.
    drawn: made by :func:`advplug.report.style.figure`, whose colours follow the reader's light or dark scheme.
    alt: what is to be seen, plain text, for readers who do not see it.
    """
    image = f'<div class="wide"><img src="{data_uri(drawn)}" alt="{escape(alt)}"></div>'
    return Section(title, f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
