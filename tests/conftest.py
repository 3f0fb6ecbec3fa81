"""Which tests are slow: ``make test`` leaves them out, ``make test-all`` and a plain ``pytest`` run them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SLOW = (
    "tests/composition/test_search_workers.py",  # each worker imports torch
    "tests/isolation/",  # one process for each command
    "tests/scaffold/test_installed.py",
    "tests/scaffold/test_rendered_files.py::test_generated_code_passes_the_type_checker",
    "tests/test_benchmarks_losses.py",
    "tests/test_beside_autoattack.py",
    "tests/test_cli_terminal.py",  # a process that runs every command twice
    "tests/test_dtypes.py",
    "tests/test_executors.py",  # each worker imports torch
    "tests/test_ray.py",
    "tests/test_benchmarks_minimum_norm.py",
    "tests/test_documents.py::test_the_code_of_the_page_runs",
    "tests/test_notebook.py::test_it_runs_in_jupyter",
    "tests/test_site.py::test_wide_tables_are_lists_on_a_phone",
    "tests/test_documents.py::test_the_site_builds_and_loads_nothing_from_outside",
    "tests/test_attack_table.py",
)
"""Folders, files and functions."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.partition("[")[0].startswith(SLOW):
            item.add_marker(pytest.mark.slow)


class Folder:
    """A user's working directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modules: list[str] = []

    def write(self, modules: Mapping[str, str]) -> None:
        """Python modules by name, which are forgotten after the test."""
        for name, text in modules.items():
            (self.path / f"{name}.py").write_text(text, encoding="utf-8")
            self.modules.append(name)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Folder]:
    """A working directory of its own, from which the command line imports models as an installed command does."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    made = Folder(tmp_path)
    yield made
    for name in made.modules:
        sys.modules.pop(name, None)
