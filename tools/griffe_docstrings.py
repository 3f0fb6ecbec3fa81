"""Tells mkdocstrings how to read the docstrings of this project; mkdocs.yml names it as an extension of Griffe.

A section of a docstring has a heading that is underlined, as in numpydoc, and entries ``name: text``, as in Google's
style. Cross-references are those of Sphinx. Griffe has no parser for the mixture.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from griffe import Extension, Object

SECTIONS = ("Parameters", "Attributes", "Raises", "Returns")
ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?([^`]+)`")


def google(text: str) -> str:
    """The docstring in Google's style, its cross-references as code."""
    lines = ROLE.sub(r"`\1`", text).split("\n")
    done: list[str] = []
    while lines:
        line = lines.pop(0)
        if line in SECTIONS and lines and lines[0] == "-" * len(line):
            body = list(takewhile(str.strip, lines[1:]))
            done += [f"{line}:", *(f"    {entry}" for entry in body)]
            del lines[: 1 + len(body)]
        else:
            done.append(line)
    return "\n".join(done)


class ProjectDocstrings(Extension):
    """Rewrites each docstring before it is parsed."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = google(obj.docstring.value)
