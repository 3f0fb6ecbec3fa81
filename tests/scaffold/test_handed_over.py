"""``advplug new case --from RUN``: the case of what a search found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import made_searches
import pytest
import torch
from made_case import SENTENCE, write_data, write_search

import advplug
from advplug.attack import Problem
from advplug.cli import run
from advplug.engine.problem import make_problem
from advplug.gradients import EOT, Exact
from advplug.losses import CrossEntropy, Joint, Margin
from advplug.records.composition import Sentence
from advplug.threat import ThreatModel
from advplug.tracing import Traced

ROOT = Path(__file__).resolve().parents[2]
LONG = "nine-chars-nine-chars-nine-cha"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder; what a test imports from there is forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name == "mine" or name.startswith(("advplug_defense_mine", "advplug_adaptive_mine", "advplug_data_mine")):
            del sys.modules[name]


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON document of a command that must go well."""
    code = run(arguments)
    streams = capsys.readouterr()
    assert code == 0, streams.err
    return json.loads(streams.out)


def test_a_search_on_a_data_plugin_is_a_defense_and_its_attack(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = write_search(folder)
    answer = printed(["new", "case", "mine", "--from", str(search), "--json"], capsys)
    assert [found["kind"] for found in answer["distributions"]] == ["defense", "adaptive"]
    assert answer["notes"] == [
        "mine.py is copied to advplug_defense_mine/_model.py: files that it reads must be found from there"
    ]
    metadata = (folder / "advplug-adaptive-mine" / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'"(advplug-[a-z-]+)>', metadata) == [
        "advplug-attack-pgd", "advplug-attack-standard", "advplug-defense-mine",
    ]  # fmt: skip
    metadata = (folder / "advplug-defense-mine" / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'"(advplug-[a-z-]+)>', metadata) == ["advplug-data-mnist"]
    copied = (folder / "advplug-defense-mine" / "src" / "advplug_defense_mine" / "_model.py").read_text("utf-8")
    assert copied.endswith((folder / "mine.py").read_text(encoding="utf-8"))


def problem(**fields: Any) -> Problem:
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    return replace(make_problem(model, x, torch.zeros(4, dtype=torch.int64), ThreatModel("linf", 0.3)), **fields)


def test_the_stages_are_the_suite_and_then_the_sentences(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = (SENTENCE, Sentence(attack="apgd", gradient="eot:4", targets="each"))
    search = write_search(folder, sentences=sentences)
    assert run(["new", "case", "mine", "--from", str(search)]) == 0
    # not syspath_prepend: it would put back what the command left there, the folder of mine.py
    monkeypatch.setattr(sys, "path", [str(folder / "advplug-adaptive-mine" / "src"), *sys.path])
    module: Any = import_module("advplug_adaptive_mine._adaptive")
    *suite, first, second = module.Found().stages(problem(loss=CrossEntropy()))
    assert [stage.name for stage in suite] == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert all(stage.problem.gradient == Exact() for stage in suite)
    assert repr(first.attack) == repr(advplug.load("attack:pgd")(steps=30))
    assert first.problem.loss == Joint(((1.0, Margin()), (2.0, CrossEntropy())))
    assert first.problem.num_targets == 3
    assert first.problem.gradient == Traced()
    assert (second.problem.loss, second.problem.targets, second.problem.gradient) == (None, "each", EOT(draws=4))
    (recipe,) = module.Mine().recipes("found", ThreatModel("linf", 0.3), None)
    assert (recipe.role, recipe.loss, recipe.gradient) == ("adaptive", first.problem.loss, first.problem.gradient)


VARIANTS: dict[str, dict[str, Any]] = {
    "own data": {"model": "mine:two", "data": "own.npz"},
    "an instance": {"model": "mine:net"},
    "a function": {"model": "mine:scores"},
    "an installed defense": {"model": "kwta", "data": ""},
    "several sentences": {
        "sentences": (SENTENCE, Sentence(attack="apgd", settings={"rho": 0.6}, gradient="eot:4 of smoothed:8")),
    },
}  # fmt: skip


@pytest.fixture
def variants(folder: Path) -> list[Path]:
    """What is written for each of the searches, under a short and a long name."""
    written = []
    for number, fields in enumerate(VARIANTS.values()):
        place = folder / str(number)
        place.mkdir()
        search = write_search(place, **fields)
        (folder / "mine.py").write_text((place / "mine.py").read_text(encoding="utf-8"), encoding="utf-8")
        write_data(folder / "own.npz")
        for name in ("mine", LONG) if number == 0 else (f"mine-{number}",):
            assert run(["new", "case", name, "--from", str(search), "--path", str(place)]) == 0
        written += [path for path in place.iterdir() if path.name.startswith("advplug-")]
    return written


def test_all_of_it_passes_the_linters_and_the_type_checker(variants: list[Path]) -> None:
    for package in ("ruff", "mypy"):
        pytest.importorskip(package)
    assert len(variants) == 3 * 2 + 2 * 4
    texts = [path.read_text(encoding="utf-8") for place in variants for path in place.rglob("*.py")]
    assert not any("$" in text for text in texts)
    source = [str(path) for place in variants for path in (place / "src", place / "tests")]
    for command in (
        ["ruff", "check", "--no-cache", "--config", "pyproject.toml", *source],
        ["ruff", "format", "--check", "--diff", "--no-cache", "--config", "pyproject.toml", *source],
        ["mypy", "--strict", "--cache-dir", str(variants[0].parent / ".cache"), *source],
    ):
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_cannot_be_handed_over_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert run(["new", "case", "mine", "--from", "empty"]) == 2
    assert "name the folder that advplug search has written" in capsys.readouterr().err
    nothing = folder / "nothing"
    nothing.mkdir()
    (nothing / "search.json").write_text(json.dumps(made_searches.nothing().to_json()), encoding="utf-8")
    assert run(["new", "case", "mine", "--from", "nothing"]) == 2
    assert "found nothing better than standard: there is no sentence to hand over" in capsys.readouterr().err
    assert run(["new", "attack", "mine", "--from", "nothing"]) == 2
    assert "--from belongs to the kind case" in capsys.readouterr().err
    search = write_search(folder, options={"mask": "mask.npy"})
    assert run(["new", "case", "mine", "--from", str(search)]) == 2
    assert "--mask is not handed over: search without it" in capsys.readouterr().err
    assert not [path for path in folder.iterdir() if path.name.startswith("advplug-")]
