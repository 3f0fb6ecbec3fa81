"""Which tests are slow: ``make test`` leaves them out, ``make test-all`` and a plain ``pytest`` run them."""

from __future__ import annotations

import pytest

SLOW = (
    "tests/isolation/",  # one process for each command
    "tests/scaffold/test_installed.py",
    "tests/scaffold/test_rendered_files.py::test_generated_code_passes_the_type_checker",
    "tests/test_benchmarks_losses.py",
    "tests/test_dtypes.py",
    "tests/test_benchmarks_minimum_norm.py",
    "tests/test_documents.py::test_the_code_of_the_page_runs",
    "tests/test_documents.py::test_the_site_builds_and_loads_nothing_from_outside",
)
"""Folders, files and functions."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.partition("[")[0].startswith(SLOW):
            item.add_marker(pytest.mark.slow)
