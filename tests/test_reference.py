"""The API reference describes every public name, and understands the docstrings."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from runpy import run_path

import pytest

import advplug

pytest.importorskip("griffe", reason="the extra docs brings it")

ROOT = Path(__file__).resolve().parent.parent
google = run_path(str(ROOT / "tools" / "griffe_docstrings.py"))["google"]
PAGES = {page: page.read_text(encoding="utf-8") for page in sorted(ROOT.glob("docs/reference/*.md"))}
SHOWN = {name for text in PAGES.values() for name in re.findall(r"(?m)^::: (\S+)$", text)}

DOCSTRING = """Read :meth:`advplug.data.Dataset.load`.

Parameters
----------
name: what :func:`load` takes,
    as text.
limit: how many.

Raises
------
InvalidInput: no such name.

The end.
"""

REWRITTEN = """Read `advplug.data.Dataset.load`.

Parameters:
    name: what `load` takes,
        as text.
    limit: how many.

Raises:
    InvalidInput: no such name.

The end.
"""


def test_docstrings_become_those_of_google() -> None:
    assert google(DOCSTRING) == REWRITTEN


def test_other_text_stays() -> None:
    text = "Parameters of a run.\n\nReturns\nnothing."
    assert google(text) == text


def test_every_public_name_is_in_the_reference() -> None:
    missing = []
    for name in advplug.__all__:
        thing = getattr(advplug, name)
        module = getattr(thing, "__module__", "")
        home = module if module.startswith("advplug.") else "advplug.hookspecs"  # a version number and a marker
        assert hasattr(import_module(home), name)
        if not {home, f"advplug.{name}"} & SHOWN:
            missing.append(f"{home}.{name}")
    assert not missing


def test_every_public_module_has_its_page_and_its_line_in_the_table() -> None:
    public = run_path(str(ROOT / "tools" / "layout.py"))["PUBLIC"] - {"", "api"}  # those two are on the first page
    assert {f"advplug.{module}" for module in public} <= SHOWN
    table = PAGES[ROOT / "docs" / "reference" / "index.md"]
    missing = [page.name for page in PAGES if page.name != "index.md" and f"]({page.name})" not in table]
    assert not missing


def test_the_menu_has_every_page() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [page.name for page in PAGES if f"reference/{page.name}\n" not in menu]
