"""Every executor gives the same bits; a worker that dies costs one stage; what a worker raises reaches the caller."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advplug import Recipe, ThreatModel, load
from advplug.cli import run
from advplug.data import Images
from advplug.errors import InvalidInput, NonFiniteLogits
from advplug.evaluation import evaluate, model_job
from advplug.evaluation.chain import SLICE, Chain
from advplug.evaluation.executors import Inline, Processes
from advplug.evaluation.progress import Progress
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.records import Evaluation, Job
from advplug.testing.linear import linear_model

COUNT = SLICE + 40

MODULE = """
import os, signal, torch
from pathlib import Path

def taken(name):  # of two workers that see the file, one
    try:
        Path(name).unlink()
    except FileNotFoundError:
        return False
    return True

def die_of(once, always):
    if os.environ["PARENT"] != str(os.getpid()) and (taken(once) or Path(always).exists()):
        os.kill(os.getpid(), signal.SIGKILL)

die_of("kill at import", "kill always at import")
from advplug.testing.linear import linear_model

class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = linear_model(3, (1, 4, 4)).float()

    def forward(self, x):
        if len(x) > 16 and x.requires_grad:
            die_of("kill", "kill always")
        return self.inner(x)

def another_each_time():
    torch.seed()
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
"""

DATA = """
import torch

def read():
    x = torch.rand(300, 1, 4, 4, generator=torch.Generator().manual_seed(torch.seed() % 2**32))
    x[:20] = 0.5
    return x, torch.arange(300) % 3
"""
"""The first samples are the same every time, the others are not."""


def images() -> Images:
    x = torch.rand(COUNT, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Images(x, linear_model(3, (1, 4, 4)).float()(x).argmax(1))


def job_of(model: nn.Module, *attacks: str) -> Job:
    recipes = [Recipe(name=name, attack=load(f"attack:{name}")(), role="baseline") for name in attacks]
    return model_job("linear", model, images(), ThreatModel("linf", 0.05), recipes)


def same(one: Evaluation, other: Evaluation) -> bool:
    """Whether every figure but the time, and every array, is the same to the last bit."""
    figures = [[{**row.figures(), "seconds": 0} for row in each.rows] for each in (one, other)]
    pairs = zip(one.rows, other.rows, strict=True)
    arrays = [np.array_equal(a.arrays[name], b.arrays[name], equal_nan=True) for a, b in pairs for name in a.arrays]
    return figures[0] == figures[1] and all(arrays)


class OfANotebook(nn.Module):
    """A model whose class no other process can import: pickled by value."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear_model(3, (1, 4, 4)).float()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        return logits


OfANotebook.__module__ = "__main__"


def test_processes_give_the_bits_of_one(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int, int]] = []
    job = job_of(OfANotebook(), "fgm", "square", "pgd")
    here = evaluate(job, executor=Inline(1))
    there = evaluate(replace(job, run_dir=tmp_path), executor=Processes(2, 1), watch=lambda *step: heard.append(step))
    assert same(here, there)
    assert [name for name, _, total, _ in heard if total == 0] == ["fgm", "square", "pgd"]
    assert same(evaluate(replace(job, run_dir=tmp_path), executor=Inline(1)), there), "it is read back"


def test_rows_are_shown_in_order_however_they_finish() -> None:
    heard: list[tuple[str, int, int, int]] = []
    first, second, third = (Chain(number, 0, 10) for number in range(3))
    chains = [first, second, third, Chain(2, 10, 14)]
    progress = Progress(lambda *step: heard.append(step), {0: "a", 1: "b", 2: "c"}, chains)
    progress.heard(second, 1, 4, 9)
    progress.row_finished(1)
    progress.heard(first, 2, 4, 5)
    progress.row_finished(0)
    progress.heard(third, 2, 4, 5)
    assert heard == [("a", 0, 0, 10), ("a", 2, 4, 5), ("b", 0, 0, 10), ("c", 0, 0, 14), ("c", 2, 8, 9)]


class Broken(nn.Module):
    """Its scores are NaN away from the data, in the second slice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear_model(3, (1, 4, 4)).float()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        return logits + torch.nan if x.requires_grad and len(x) > 16 else logits


Broken.__module__ = "__main__"


def test_what_a_worker_raises_reaches_the_caller() -> None:
    for executor in (Inline(1), Processes(2, 1)):
        with pytest.raises(NonFiniteLogits, match="NaN or infinite"):
            evaluate(job_of(Broken(), "fgm"), executor=executor)


class Rounded(nn.Module):
    """Gives no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear_model(3, (1, 4, 4)).float()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x.detach())
        return logits


Rounded.__module__ = "__main__"


def test_what_needs_a_gradient_is_left_out_by_every_executor() -> None:
    job = job_of(Rounded(), "fgm", "square")
    here, there = (evaluate(job, executor=executor) for executor in (Inline(1), Processes(2, 1)))
    assert [row.name for row in here.rows] == [row.name for row in there.rows] == ["square"]
    assert here.findings == there.findings


@pytest.fixture
def own(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and data."""
    folder.write({"net": MODULE})
    monkeypatch.setenv("PARENT", str(os.getpid()))
    np.savez("data.npz", x=images().inputs.numpy(), y=images().labels.numpy())
    path: Path = folder.path
    return path


COMMAND = ("--data", "data.npz", "--threat", "linf:0.05", "--attacks", "fgm,pgd", "--limit", "0", "--no-report")


def figures_of(capfd: pytest.CaptureFixture[str], *more: str, model: str = "net:Linear") -> Any:
    capfd.readouterr()
    code = run(["evaluate", model, *COMMAND, "--json", "--threads", "1", *more])
    told = capfd.readouterr()
    assert code == 0, told.err
    return [{**row, "seconds": 0} for row in json.loads(told.out)["rows"]]


def test_workers_that_are_killed_are_replaced(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = figures_of(capfd, "--out", "inline")
    for name in ("kill", "kill at import"):
        (own / name).touch()
    assert figures_of(capfd, "--out", "workers", "--workers", "2") == expected
    assert not list(own.glob("kill*")), "two were killed"


def test_work_that_kills_every_worker_ends_the_run(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (own / "kill always at import").touch()
    assert run(["evaluate", "net:Linear", *COMMAND, "--out", "run", "--workers", "2"]) == 2
    assert "3 workers ended before they could begin (the last: signal SIGKILL)" in capfd.readouterr().err
    (own / "kill always at import").unlink()
    (own / "kill always").touch()
    assert run(["evaluate", "net:Linear", *COMMAND, "--out", "run", "--workers", "2"]) == 2
    told = capfd.readouterr().err
    assert re.search(r"3 workers ended over (fgm|pgd), samples \d+ to \d+ \(the last: signal SIGKILL\)", told)
    (own / "kill always").unlink()
    assert figures_of(capfd, "--out", "run") == figures_of(capfd, "--out", "fresh")


def test_another_model_in_the_worker_is_refused(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "net:another_each_time", *COMMAND, "--out", "run", "--workers", "2"]) == 2
    assert "answers otherwise than the one here" in capfd.readouterr().err


def test_shards_make_the_whole(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = figures_of(capfd, "--out", "whole")
    command = ["evaluate", "net:Linear", *COMMAND, "--threads", "1", "--out", "run"]
    for number in (1, 3):
        assert run([*command, "--shard", f"{number}/3"]) == 0
    assert run(["merge", "run"]) == 2
    assert "run the command again with --shard 2/3" in capfd.readouterr().err
    assert run([*command, "--shard", "2/3"]) == 0
    capfd.readouterr()
    assert run(["merge", "run", "--json", "--no-report"]) == 0
    assert [{**row, "seconds": 0} for row in json.loads(capfd.readouterr().out)["rows"]] == expected
    assert not list((own / "run" / "pieces").iterdir())
    assert figures_of(capfd, "--out", "run") == expected, "the merged run is read back"
    assert run(["merge", "run/shard-1-of-3", "--out", "other"]) == 2
    assert "--shard 2/3, 3/3" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--workers", "none"], "--workers none: give a number"),
        (["--workers", "0"], "--workers 0: give a number"),
        (["--executor", "cluster"], "write inline, processes, ray"),
        (["--executor", "inline", "--workers", "2"], "--executor inline has one worker"),
        (["--shard", "4/3"], "write i/n"),
        (["--shard", "0/3"], "write i/n"),
        (["--shard", "3"], "write i/n"),
    ],
)
def test_wrong_options_are_refused_first(
    own: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run(["evaluate", "net:missing", *COMMAND, *arguments]) == 2
    assert told in capfd.readouterr().err
    assert not (own / "advplug-runs").exists()


@pytest.mark.parametrize("given", [["nothing"], ["run"], ["run/shard-1-of-2", "other/shard-1-of-2", "--out", "x"]])
def test_what_is_no_share_is_not_merged(own: Path, capfd: pytest.CaptureFixture[str], given: list[str]) -> None:
    for folder in ("run/shard-1-of-2", "other/shard-1-of-2"):
        (own / folder).mkdir(parents=True)
    assert run(["merge", *given]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_other_data_in_the_worker_are_refused(folder: Any, capfd: pytest.CaptureFixture[str]) -> None:
    folder.write({"net": MODULE.replace('os.environ["PARENT"]', '"0"'), "mine": DATA})
    command = ["evaluate", "net:Linear", "--data", "mine:read", "--threat", "linf:0.05", "--attacks", "fgm"]
    assert run([*command, "--limit", "0", "--out", "run", "--workers", "2"]) == 2
    assert "the samples that a worker read for net:Linear differ" in capfd.readouterr().err


def test_a_share_stays_what_it_is_when_rows_are_done(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "net:Linear", *COMMAND, "--limit", "20", "--attacks", "fgm,pgd,square", "--out", "run"]
    for _ in range(2):  # the second time all of it is there
        assert run([*command, "--shard", "1/2"]) == 0
    assert "pgd" not in capfd.readouterr().err
    assert run(["merge", "run"]) == 2
    assert "1 of 3 slices are not finished: run the command again with --shard 2/2" in capfd.readouterr().err
    assert run([*command, "--shard", "2/2"]) == 0
    assert run(["merge", "run", "--no-report"]) == 0


def test_an_attack_named_twice_is_run_once(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one, other = figures_of(capfd, "--out", "run", "--attacks", "fgm,fgm", "--workers", "2")
    assert one == other


def test_what_holds_a_function_has_one_name_in_every_process() -> None:
    losses = [{"loss": f"Loss(f=<function act at {place}>)"} for place in ("0x7f3b", "0x12")]
    assert len({RunDirectory.key("m", "pgd", loss, "") for loss in losses}) == 1


def test_a_killed_command_goes_on_with_the_same_bits(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = figures_of(capfd, "--out", "whole")
    command = [sys.executable, "-c", "import sys; from advplug.cli import main; main()", "evaluate", "net:Linear"]
    (own / "kill").touch()
    killed = subprocess.run(
        [*command, *COMMAND, "--threads", "1", "--out", "run"], env={**os.environ, "PARENT": "0"}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert figures_of(capfd, "--out", "run") == expected


def test_numbers_of_workers() -> None:
    assert [Processes(3).count(on_gpu=on_gpu) for on_gpu in (True, False)] == [3, 3]
    assert Processes().count(on_gpu=True) == max(1, torch.cuda.device_count())
    assert Processes().count(on_gpu=False) >= 1
    with pytest.raises(InvalidInput, match="-1 workers"):
        Processes(-1)


def test_the_job_script_works_as_printed(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "examples" / "slurm.sh"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for number in ("1", "2"):
        told = {"SLURM_ARRAY_TASK_ID": number, "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
        command = ["bash", str(script), "--attacks", "fgm", "--limit", str(COUNT)]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, **told, "PATH": path}, check=True)
    merged = ["advplug", "merge", "runs/mnist", "--json"]
    answer = subprocess.run(merged, cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, capture_output=True)
    assert json.loads(answer.stdout)["samples"] == COUNT
