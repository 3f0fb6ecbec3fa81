"""The names at the top of the package: all of them there, and each what type checkers are told."""

from __future__ import annotations

import ast
from pathlib import Path

import advplug


def test_every_public_name_is_there() -> None:
    for name in advplug.__all__:
        assert getattr(advplug, name) is not None, name


def test_type_checkers_are_told_of_the_lazy_names_where_they_are() -> None:
    tree = ast.parse(Path(advplug.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == advplug._LAZY
    assert told.keys() <= set(advplug.__all__)
