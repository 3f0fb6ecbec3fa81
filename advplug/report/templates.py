"""Fills in the templates of the pages; each page is one file that loads nothing."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from advplug.records.files import replace_file
from advplug.report.style import PALETTE, PAPER


def filled(name: str, **values: Any) -> str:
    """The template ``name`` as HTML; what ``values`` hold is escaped."""
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name).render(palette=PALETTE, papers=PAPER, sheet=_read("page.css"), **values)


def written(html: str, path: Path) -> Path:
    """Write the page whole or not at all, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda file: file.write_text(html, encoding="utf-8"))
    return path


def _read(name: str) -> str:
    return files("advplug.report").joinpath(name).read_text(encoding="utf-8")
