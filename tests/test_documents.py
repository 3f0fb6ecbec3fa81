"""The code of every page of the documentation and of every README runs as it stands there, in order.

tools/pages.py says how. Not run, each marked in the page:

- README.md: `advplug evaluate mypackage.models:net` (the reader's own model)
- README.md: `advplug new` and what follows it (docs/writing-an-attack.md does)
- docs/index.md: `pip install advplug-adaptive-odds` (minutes)
- plugins/adaptive/advplug-adaptive-kwta/README.md: `advplug break kwta` (a minute)
- docs/kwta.md: `advplug break kwta --preset PRESET` (placeholders; hours for all rows)
- docs/aat.md: `advplug break aat` (ends with exit code 1, as the page says)
- docs/me-net.md: `advplug break me-net` (the same)
- docs/data-and-models.md: `advplug evaluate timm:resnet18` (pretrained weights)

The page of a data set that has to be fetched (plugins/data/advplug-data-cifar10) is skipped where it is not at hand.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from advplug.errors import DataUnavailable

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from pages import Block, Session, blocks  # noqa: E402

DOCS = sorted(ROOT.glob("docs/*.md"))
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("plugins/*/*/README.md")), *DOCS]
WITH_CODE = [page for page in PAGES if any(block.runs for block in blocks(page))]
FOLLOWED = {block.page for page in PAGES for block in blocks(page) if block.page != page}  # they run with the next one
OUTSIDE = re.compile(r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*\shref=["']?(?:https?:)?//""")


def name_of(page: Path) -> str:
    return page.stem if page.parent.name == "docs" else f"{page.parent.name}-readme"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, *_: Any, **__: Any) -> str:
        raise OSError(f"tests fetch nothing: {url}")

    monkeypatch.setattr("pooch.retrieve", refuse)


@pytest.mark.parametrize("page", [page for page in WITH_CODE if page not in FOLLOWED], ids=name_of)
def test_the_code_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    if any("pip install -e" in block.code for block in blocks(page) if block.runs):
        for package in ("pip", "hatchling", "editables"):
            pytest.importorskip(package, reason="the page installs what it writes, without build isolation")
    session = Session(tmp_path)
    for block in blocks(page):
        try:
            session.run(block)
        except DataUnavailable as missing:
            pytest.skip(str(missing))


def test_pages_have_code() -> None:
    tables = {
        "index",
        "plugins",
        "architecture",
        "attack-support",
        "hooks",
        "aat",
        "kwta",
        "me-net",
        "gallery",
        "results",
        "search-results",
        "errors",
        "tox",
    }
    guides = {page.stem for page in DOCS} - tables
    assert {page.stem for page in WITH_CODE} >= {*guides, "README"}


def test_what_is_not_run_is_listed_above() -> None:
    listed = re.findall(r"(?m)^- (\S+): `([^`]+)`", __doc__ or "")
    left_out = [
        (page.relative_to(ROOT).as_posix(), block.code)
        for page in PAGES
        for block in blocks(page)
        if block.not_run is not None
    ]
    assert len(listed) == len(left_out)
    for page, code in left_out:
        assert any(page == name and code.startswith(start) for name, start in listed), (page, code)


def test_every_block_of_python_runs() -> None:
    for page in PAGES:
        fences = re.findall(r"(?m)^```(?:python|py)\b", page.read_text(encoding="utf-8"))
        own = [block for block in blocks(page) if block.page == page and block.kind == "python"]
        assert len(own) == len(fences)
        assert all(block.runs for block in own)


def test_a_new_attack_takes_its_author_less_than_thirty_lines() -> None:
    page = blocks(ROOT / "docs" / "writing-an-attack.md")
    own = [line for block in page if block.title for line in block.code.splitlines() if line.strip()]
    assert 0 < len(own) < 30
    commands = {line for block in page if block.runs and block.kind == "sh" for line in block.code.splitlines()}
    name = "frank-wolfe"
    assert commands >= {
        "pip install -e .",
        "advplug list --kind attack",
        f"advplug check attack:{name}",
        f"advplug break kwta --limit 5 --attack {name}",
    }


def test_a_page_that_prints_something_else_is_refused(tmp_path: Path) -> None:
    session = Session(tmp_path)
    page = ROOT / "docs" / "index.md"
    session.run(Block(page, 1, "python", "print('accuracy 0.5 of 10')\n"))
    session.run(Block(page, 4, "text", "accuracy 0.7 of 12\n"))
    with pytest.raises(AssertionError, match="did not print"):
        session.run(Block(page, 4, "text", "error 0.5\n"))


def test_a_command_that_fails_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended with 4"):
        Session(tmp_path).run(Block(ROOT / "docs" / "index.md", 1, "sh", "advplug show atack:pgd\n"))


@pytest.mark.parametrize("script", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.stem)
def test_a_page_shows_and_so_runs_the_whole_example(script: Path) -> None:
    page = ROOT / "docs" / f"{script.stem.partition('_')[0]}.md"
    shown = "\n".join(block.code for block in blocks(page) if block.kind == "python")
    body = ast.parse(script.read_text(encoding="utf-8")).body[1:]  # without the docstring
    first = ast.parse(shown).body[: len(body)]
    assert ast.dump(ast.Module(first, type_ignores=[])) == ast.dump(ast.Module(body, type_ignores=[]))


def test_a_newcomer_needs_less_than_twenty_lines() -> None:
    script = (ROOT / "examples" / "python_evaluate.py").read_text(encoding="utf-8")
    (code,) = re.findall(r"(?ms)^# --8<-- \[start:evaluate\]\n(.*)^# --8<-- \[end:evaluate\]", script)
    assert 0 < len([line for line in code.splitlines() if line.strip()]) < 20


def test_the_site_builds_and_loads_nothing_from_outside(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="only the extra docs brings it")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", str(ROOT / "mkdocs.yml")]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "site")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(DOCS)  # and the page of those that are not there
    for page in pages:
        assert not OUTSIDE.findall(page.read_text(encoding="utf-8")), page.name
