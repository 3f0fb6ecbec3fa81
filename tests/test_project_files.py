"""The files for contributors say what is true: changelog, citation, hooks, issue forms, continuous integration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import advplug

yaml = pytest.importorskip("yaml", reason="the extra docs brings it")

ROOT = Path(__file__).resolve().parent.parent
FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_names_this_version() -> None:
    citation = read("CITATION.cff")
    assert str(citation["version"]) == advplug.__version__
    assert citation["license"] == "MIT"
    assert citation["authors"] == [{"name": "The advplug authors"}]


def test_the_changelog_has_this_version_and_a_table_of_renamed_names() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## Unreleased\n" in text
    assert advplug.__version__ in text
    assert "\n### Renamed\n\n| old | new |\n|---|---|\n" in text


def test_the_hooks_run_tools_of_this_project() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        program, argument = hook["entry"].split()[:2]
        if program == "make":
            assert re.search(rf"(?m)^{argument}:", MAKEFILE)
        else:
            assert f"{program} {argument} " in MAKEFILE


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_something(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in asked)
    assert len({field["id"] for field in asked}) == len(asked)
    assert any(field.get("validations", {}).get("required") for field in asked)


def test_hosted_ci_runs_the_script_with_the_oldest_python() -> None:
    job = read(".github/workflows/ci.yml")["jobs"]["test"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    oldest = re.search(r'(?m)^requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert oldest is not None
    assert job["strategy"]["matrix"]["python"][0] == oldest[1]


def test_the_contributors_page_names_every_target() -> None:
    (names,) = re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE)
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert not [name for name in names.split() if f"`make {name}`" not in page]
