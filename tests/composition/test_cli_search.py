"""``advplug search`` and ``advplug.search`` on a model of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searched_models import images

import advplug
from advplug.cli import run
from advplug.errors import InvalidInput
from advplug.records.composition import Composition

MODULE = """
from searched_models import Behind, rounded

hidden = Behind(rounded)
plain = Behind()
"""
FEW = ("--trials", "4", "--sentences", "1", "--limit", "0")


@pytest.fixture
def model(folder: Any) -> str:
    """A module with models, and a file of images beside it."""
    folder.write({"mine": MODULE})
    data = images()
    np.savez(folder.path / "data.npz", x=data.inputs.numpy(), y=data.labels.numpy())
    return "mine:hidden"


def searched(*arguments: str) -> int:
    return run(["search", *arguments, "--data", "data.npz", "--threat", "linf:0.08", *FEW])


def test_it_prints_trace_sentence_command_and_table(
    model: str, folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert searched(model, "--out", "out") == 0
    out = capsys.readouterr().out
    found = Composition.from_json(json.loads((folder.path / "out" / "search.json").read_text()))
    (sentence,) = found.sentences
    assert f"1. {sentence}" in out
    assert "dead: " in out
    assert "held out" in out
    assert "times those of standard" in " ".join(out.split())
    command = next(line for line in out.splitlines() if line.startswith("advplug evaluate"))
    assert "--gradients" in command
    assert f"report: {Path('out') / 'search.html'}" in out
    assert str(sentence.gradient) in (folder.path / "out" / "search.md").read_text()
    lines = [json.loads(line) for line in (folder.path / "out" / "trials.jsonl").read_text().splitlines()]
    assert len(lines) == len(found.trials) == 4
    job = json.loads((folder.path / "out" / "job.json").read_text())
    assert (job["command"], job["values"]["model"]) == ("search", model)


def test_the_printed_command_and_python_leave_what_the_search_left(
    model: str, folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    assert searched(model, "--out", "out") == 0
    out = capsys.readouterr().out
    found = Composition.from_json(json.loads((folder.path / "out" / "search.json").read_text()))
    command = next(line for line in out.splitlines() if line.startswith("advplug evaluate"))
    assert run([*shlex.split(command)[1:], "--no-report", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    lines = out[out.index("import advplug") :].split("\n\n\n")[0]
    names: dict[str, Any] = {}
    exec(lines.partition("samples")[0].replace("advplug.evaluate(", "found = advplug.evaluate("), names)
    assert row["robust_accuracy"] <= found.together.standard
    assert names["found"].rows[0].robust_accuracy == row["robust_accuracy"]


def test_the_same_command_again_reads_what_is_there(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert searched(model, "--out", "out", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert searched(model, "--out", "out", "--json") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out) == first
    assert "read from the run directory" in streams.err
    assert searched(model, "--out", "out", "--fresh", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert [trial["broken"] for trial in again["trials"]] == [trial["broken"] for trial in first["trials"]]
    assert again["seconds"] != first["seconds"]


def test_nothing_found_is_said(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert searched("mine:plain") == 0
    assert "Found nothing better than standard" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--threat", "l0:min"), "needs a budget: give one, such as --threat l0:20"),
        (("--threat", "linf:min"), "needs a budget"),
        (("--threat", "linf:0.1", "--seed", str(2**70)), "seed"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    model: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(["search", model, "--data", "data.npz", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_in_python_it_gives_the_record(model: str) -> None:
    data = images()
    from searched_models import Behind, rounded

    pair = (data.inputs, data.labels)
    found = advplug.search(Behind(rounded), pair, "linf:0.08", trials=4, sentences=1, progress=False)
    named = advplug.search(model, "data.npz", "linf:0.08", trials=4, sentences=1, limit=0, progress=False)
    assert found.model == "Behind"
    assert (named.model, named.data, named.options) == (model, "data.npz", {"limit": "0"})
    assert found.together == named.together
    assert found.together.search < found.together.standard
    with pytest.raises(InvalidInput, match="sampler is 'grid': choose one of tpe, random"):
        advplug.search(Behind(), pair, "linf:0.08", sampler="grid")  # type: ignore[arg-type]
