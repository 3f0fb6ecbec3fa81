"""``advplug evaluate`` where something goes wrong beside the attack: disk, counts, interrupts, what a model prints."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pytest

from advplug.cli import COMMANDS, _console, cli, run
from advplug.evaluation.storage.lock import NAME, locked
from advplug.evaluation.storage.run_directory import RunDirectory

MODULE = """
import ctypes, glob, os, sys
import torch

open("imported.txt", "w").close()
print("at import")
os.write(1, b"at import, past Python\\n")

class Light(torch.nn.Module):
    def forward(self, x):
        if os.path.exists("interrupt.txt") and glob.glob("run/rows/*.json"):
            raise KeyboardInterrupt  # in the second attack
        print("in forward")
        print("in forward, past the redirection", file=sys.__stdout__)
        os.write(1, b"in forward, past Python\\n")
        ctypes.CDLL(None).printf(b"in forward, from C\\n")
        light = x.flatten(1).mean(1) - 0.5
        return torch.stack((-light, light), 1)
"""


class Answer(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str

    @property
    def told(self) -> list[str]:
        """The lines about what went wrong."""
        return [line for line in self.stderr.splitlines() if line.startswith(("!", "Error"))]


Evaluate = Callable[..., Answer]


@pytest.fixture
def evaluate(folder: Any, capfd: pytest.CaptureFixture[str]) -> Evaluate:
    """Runs two attacks on a model that prints a lot, in a folder of its own."""
    folder.write({"loud_net": MODULE})
    x = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    np.savez("data.npz", x=x, y=(x.ravel() > 0.5).astype(int))

    def call(*arguments: object) -> Answer:
        own = ("--data", "data.npz", "--threat", "linf:0.25", "--attacks", "fgm,pgd", "--set", "pgd.steps=2")
        _console._flush(sys.stdout)
        capfd.readouterr()  # what earlier commands of this process left in the buffers of Python and of C
        code = run(["evaluate", "loud_net:Light", *own, *map(str, arguments)])
        _console._flush(sys.stdout)
        streams = capfd.readouterr()
        return Answer(code, streams.out, streams.err)

    return call


@pytest.mark.parametrize("out", ["afile", "afile/below", "run", "n" * 300])
def test_a_directory_of_no_use_is_refused_before_the_model_is_loaded(
    evaluate: Evaluate, tmp_path: Path, out: str
) -> None:
    (tmp_path / "afile").write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "rows").write_text("in the way")
    before = set(tmp_path.rglob("*"))
    answer = evaluate("--out", out)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"Error: the run directory {out} cannot be written: [Errno ")
    assert len(answer.stderr.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before, "the model is not imported, and nothing is left behind"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_directory_without_permission_or_room_is_refused(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(**_: Any) -> Any:
        raise OSError(code, "no")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    answer = evaluate("--out", "run")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr == f"Error: the run directory run cannot be written: [Errno {code}] no\n"
    assert not (tmp_path / "imported.txt").exists()


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_full_disk_costs_no_figure(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    monkeypatch.setattr("advplug.report.templates.replace_file", full)
    answer = evaluate("--out", "run", *(["--json"] if form == "json" else []))
    assert answer.exit_code == 1
    if form == "json":
        assert [row["robust_accuracy"] for row in json.loads(answer.stdout)["rows"]] == [0.5, 0.5]
    else:
        assert answer.stdout.count("50.0 %") >= 2
    (line,) = answer.told
    assert line.startswith("! not written into run: behaviours/")
    assert line.endswith("the row fgm, the row pgd, the evaluation, report.html (No space left on device)")
    monkeypatch.undo()


def test_a_page_that_cannot_be_written_costs_nothing_else(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "run" / "report.html").mkdir(parents=True)
    answer = evaluate("--out", "run", "--json")
    assert answer.exit_code == 1
    assert len(json.loads(answer.stdout)["rows"]) == 2
    assert answer.told == ["! not written into run: report.html (Is a directory)"]
    assert run(["report", "run", "--json"]) == 0
    assert run(["report", "run"]) == 2


def test_a_damaged_row_is_one_line(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate("--out", "run", "--no-report")
    path = next(path for path in (tmp_path / "run" / "rows").glob("*.json") if '"name": "pgd"' in path.read_text())
    path.write_text("[]")
    answer = evaluate("--out", "run", "--no-report", "--json")
    assert answer.exit_code == 0
    assert [row["robust_accuracy"] for row in json.loads(answer.stdout)["rows"]] == [0.5, 0.5]
    (line,) = answer.told
    assert line.startswith("! the row pgd (run/rows/")
    assert "pgd: 8 samples" in answer.stderr
    assert "fgm: 8 samples" not in answer.stderr


def test_a_directory_in_use_is_refused(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run", print):
        for more in ([], ["--fresh"]):
            answer = evaluate("--out", "run", *more)
            assert answer.exit_code == 2
            (line,) = answer.told
            assert line.startswith("Error: run is in use by process ")
            assert line.endswith(": wait, or give another --out")


def test_stdout_has_the_document_alone_whatever_the_model_prints(evaluate: Evaluate) -> None:
    answer = evaluate("--json", "--out", "run")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["case"] == "loud_net:Light"
    for text in ("at import", "at import, past Python", "in forward", "in forward, past Python", "in forward, from C"):
        assert f"{text}\n" in answer.stderr, text
    assert "in forward, past the redirection" in answer.stderr


def test_stdout_is_as_it_was_after_a_command(evaluate: Evaluate, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--json", "--out", "run", "--no-report"], ["--json", "--sweep", "x"]):
        before = sys.stdout
        evaluate(*arguments)
        assert sys.stdout is before
        os.write(1, b"to stdout\n")
        assert capfd.readouterr() == ("to stdout\n", "")


def test_every_command_with_json_keeps_stdout_for_the_document() -> None:
    context = click.Context(cli)
    found = set()
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        for option in command.params:
            if option.name == "as_json":
                assert option.callback is _console.json_callback
                found.add(name)
    assert found >= {"break", "check", "doctor", "evaluate", "list", "new", "report", "show", "train"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", 99999999], "2<=x<=1000"),
        (["--epsilons", ",".join(["0.1"] * 5000)], "--epsilons names 5000 budgets: give at most 1000"),
        (["--epsilons", "1e99999999"], "at most 0.25"),
        (["--epsilons", "nan"], "above 0 and at most 0.25"),
        (["--epsilons", "1/" + "9" * 5000], "write numbers or fractions"),
        (["--restarts", 99999999999], "fgm: restarts is 99999999999: give at most 10000"),
        (["--gradients", "eot:99999999999"], "fgm: draws is 99999999999: give at most 1000000"),
        (["--gradients", "finite-differences:99999999999"], "fgm: queries is 99999999999: give at most 10000000"),
        (["--targets", 99999999999], "num_targets is 99999999999: give at most 100000"),
        (["--set", "pgd.steps=99999999999"], "pgd: steps is 99999999999: give at most 10000000"),
        (["--seed", 10**30], "--seed 1000000000000000000000000000000: give a number of at most 63 bits"),
        (["--limit", 10**30], "at most 63 bits"),
        (["--limit", -1], "--limit"),
        (["--batch-size", 0], "--batch-size"),
        (["--batch-size", 10**30], "at most 63 bits"),
    ],
)
def test_mistyped_counts_are_one_line(evaluate: Evaluate, arguments: list[object], message: str) -> None:
    answer = evaluate(*arguments, "--out", "run", "--json")
    assert answer.exit_code == 2, answer.stderr
    assert answer.stdout == ""
    assert message in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("fresh", "command"), [([], "the same command"), (["--fresh"], "the same command without --fresh")]
)
def test_an_interrupt_says_how_to_go_on(evaluate: Evaluate, tmp_path: Path, fresh: list[str], command: str) -> None:
    (tmp_path / "interrupt.txt").touch()
    answer = evaluate("--out", "run", "--no-report", *fresh)
    assert (answer.exit_code, answer.stdout.count("accuracy")) == (130, 0)
    (line,) = answer.told
    assert line == f"Error: interrupted: run keeps 1 finished attack: {command} goes on from there"
    assert not (tmp_path / "run" / NAME).exists()
    (tmp_path / "interrupt.txt").unlink()
    assert len(list((tmp_path / "run" / "rows").glob("*.json"))) == 1
    again = evaluate("--out", "run", "--no-report")
    assert again.exit_code == 0
    assert "1 of 2 attacks read from the run directory" in again.stderr
    assert len(RunDirectory(tmp_path / "run").load().rows) == 2
