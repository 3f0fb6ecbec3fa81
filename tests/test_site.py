"""The documentation site: what its search finds, and that its first page says what the records say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, chromium

from advplug.evaluation.diagnostics.signs import percent

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))}
FENCED = re.compile(r"(?ms)^```.*?^```")
HEADINGS = [line for text in PAGES.values() for line in re.findall(r"(?m)^#+ (.+)$", FENCED.sub("", text))]
LARGEST = 300_000


@pytest.mark.parametrize("word", ["resume", "notebook", "plots?", "progress", "install", "publish"])
def test_what_readers_search_for_is_a_heading(word: str) -> None:
    """The search of the site ranks headings first."""
    assert [heading for heading in HEADINGS if re.search(rf"\b{word}", heading, re.IGNORECASE)]


def test_the_first_page_says_what_the_record_says() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "odds-mnist.json").read_text(encoding="utf-8"))
    best = {
        role: min(row["robust_accuracy"] for row in record["rows"] if row["role"] == role)
        for role in ("baseline", "adaptive")
    }
    assert record["samples"] == 1000
    shown = re.findall(r"\*\*([\d.]+) %\*\*", PAGES["index"])
    assert [f"{figure} %" for figure in shown] == [percent(best["baseline"]), percent(best["adaptive"])]


def test_the_first_page_has_a_command_and_four_lines_of_python() -> None:
    assert re.search(r"(?m)^ *advplug break ", PAGES["index"])
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```", PAGES["index"])
    assert len([line for line in code.splitlines() if line.strip()]) == 4


def test_pictures_are_light_and_shown() -> None:
    pictures = [path for path in ROOT.glob("docs/**/*") if path.suffix in (".png", ".svg")]
    assert [path.name for path in pictures if path.stat().st_size > LARGEST] == []
    texts = "".join([*PAGES.values(), (ROOT / "README.md").read_text(encoding="utf-8")])
    assert [path.name for path in pictures if path.relative_to(ROOT / "docs").as_posix() not in texts] == []


def test_the_stopwatch_counts_what_is_typed() -> None:
    text = PAGES["stopwatch"]
    rows = re.findall(r"(?m)^\| \[(\d)\. ([^\]]+)\]\(#[\w-]+\) \| (\d+) \| (\d+) \| (\d+) \|$", text)
    assert len(rows) == 6
    for number, title, commands, lines, seconds in rows:
        (section,) = re.findall(rf"(?ms)^## {number}\. {title}\n(.*?)(?=^## |\Z)", text)
        files = re.findall(r"(?ms)^```python title=\S+\n(.*?)^```", section)
        typed = [*re.findall(r"(?m)^    (\S.*)$", FENCED.sub("", section))]
        typed += [line for block in re.findall(r"(?ms)^```sh\n(.*?)^```", section) for line in block.splitlines()]
        assert len(typed) == int(commands), title
        assert sum(bool(line.strip()) for file in files for line in file.splitlines()) == int(lines), title
        assert int(seconds) < 300


def test_wide_tables_are_lists_on_a_phone(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="only the extra docs brings it")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "-q",
        "-f",
        str(ROOT / "mkdocs.yml"),
        "-d",
        str(tmp_path / "site"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with chromium(tmp_path / "profile") as browser:
        for page in ("results", "gallery"):
            seen = browser.open(tmp_path / "site" / page / "index.html", width=390, phone=True)
            assert (seen["content"], seen["cut"]) == (390, [])
        seen = browser.open(tmp_path / "site" / "index.html", width=390, phone=True)
        assert (seen["content"], browser.errors) == (390, [])


def test_a_change_of_every_library_is_described() -> None:
    for library in ("RobustBench", "AutoAttack", "secml-torch", "ART", "Foolbox", "AttackBench"):
        section = re.search(rf"(?ms)^## {re.escape(library)}\n(.*?)(?=^## |\Z)", PAGES["coming-from"])
        assert section is not None, library
        assert "Today:" in section[1]
        assert re.search(r"(?m)^Here", section[1])
