"""What a plugin adds to the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of the page, returned by ``advplug_report_sections``.

    Parameters
    ----------
    title: plain text, escaped by the page.
    html: the body as HTML, put in as it is: escape what you did not write. Images must be ``data:`` URIs, because the
        page loads nothing from elsewhere.
    """

    title: str
    html: str
