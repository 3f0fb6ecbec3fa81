"""``advplug report`` on the folder of a search."""

from __future__ import annotations

import json
from pathlib import Path

import made_searches
import pytest

from advplug import cli
from advplug.errors import InvalidInput
from advplug.records.composition import Composition
from advplug.records.search_file import holds_search, read_search
from advplug.report.search_page import search_markdown

SEARCH = made_searches.search()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "search.json").write_text(json.dumps(SEARCH.to_json()), encoding="utf-8")
    return tmp_path


def test_the_page_is_written_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'search.html'}\n"
    assert "mine:Model" in (folder / "search.html").read_text(encoding="utf-8")
    assert (folder / "search.md").read_text(encoding="utf-8") == search_markdown(SEARCH)


def test_markdown_and_json_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(folder), "--format", "md"]) == 0
    assert capsys.readouterr().out.strip() == search_markdown(SEARCH).strip()
    for arguments in (["--format", "json"], ["--json"]):
        assert cli.run(["report", str(folder), *arguments]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed.pop("schema_version") == 1
        assert Composition.from_json(printed) == SEARCH
    assert sorted(path.name for path in folder.iterdir()) == ["search.json"]


@pytest.mark.parametrize("form", ["csv", "samples-csv", "card"])
def test_forms_of_evaluations_are_refused(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(folder), "--format", form]) == 2
    assert "is a search: choose one of html, md, json" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "places": [{"a": 1}]}'])
def test_a_damaged_record_is_one_line(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "search.json").write_text(text, encoding="utf-8")
    assert cli.run(["report", str(folder)]) == 2
    streams = capsys.readouterr()
    assert "search again" in streams.err
    assert streams.err.count("\n") == 1


def test_a_folder_without_a_search_is_none(tmp_path: Path) -> None:
    assert not holds_search(tmp_path)
    with pytest.raises(InvalidInput, match="name the folder that advplug search has written"):
        read_search(tmp_path)
