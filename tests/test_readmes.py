"""The Python of every README runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from advplug.errors import DataUnavailable

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("plugins/*/*/README.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(code, id=f"{page.parent.name}-{number}")
    for page in PAGES
    for number, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("code", BLOCKS)
def test_the_block_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(url: str, *_: Any, **__: Any) -> str:
        raise OSError(f"tests fetch nothing: {url}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pooch.retrieve", no_network)
    names: dict[str, Any] = {"__name__": "readme"}
    try:
        exec(compile(code, "README.md", "exec"), names)
    except DataUnavailable as missing:
        pytest.skip(str(missing))


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 2
