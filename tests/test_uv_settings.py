"""uv gets from pip's configuration what it does not read there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest

TOOL = Path(__file__).resolve().parent.parent / "tools" / "uv_settings.py"
uv_settings = run_path(str(TOOL))["uv_settings"]


def test_nothing_becomes_nothing() -> None:
    assert uv_settings({}) == {}


def test_folders_that_are_missing_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    there, missing = tmp_path / "wheels", tmp_path / "missing"
    links = f"{there} {missing} {there.as_uri()}\n{missing.as_uri()} https://wheels.example/list.html"
    kept = f"{there},{there.as_uri()},https://wheels.example/list.html"
    assert uv_settings({"find-links": links}) == {"UV_FIND_LINKS": kept}
    assert uv_settings({"find-links": str(missing)}) == {}


def test_indexes() -> None:
    assert uv_settings(
        {"index-url": "https://one.example", "extra-index-url": "https://two.example\nhttps://3.example"}
    ) == {
        "UV_DEFAULT_INDEX": "https://one.example",
        "UV_INDEX": "https://two.example https://3.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert uv_settings({"no-index": "true"}) == {"UV_NO_INDEX": "1"}
    assert uv_settings({"no-index": "false"}) == {}


def test_it_reads_pips_files_and_variables(tmp_path: Path) -> None:
    pytest.importorskip("pip")
    for name in ("in-file", "in-environment"):
        (tmp_path / name).mkdir()
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = https://file.example\nfind-links = {tmp_path / 'in-file'}\n")
    pip_free = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}

    def said(**variables: str) -> list[str]:
        environ = {**pip_free, "PIP_CONFIG_FILE": str(config), **variables}
        return subprocess.run(
            [sys.executable, str(TOOL)], env=environ, check=True, capture_output=True, text=True
        ).stdout.splitlines()

    assert "UV_DEFAULT_INDEX=https://file.example" in said()
    assert f"UV_FIND_LINKS={tmp_path / 'in-file'}" in said()
    assert f"UV_FIND_LINKS={tmp_path / 'in-environment'}" in said(PIP_FIND_LINKS=str(tmp_path / "in-environment"))
