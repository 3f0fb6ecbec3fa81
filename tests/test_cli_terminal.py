"""Every command in a terminal of 80 and of 100 columns: whole words, whole figures, no line beyond the edge."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from light_model import LIGHT

pty = pytest.importorskip("pty")

WIDTHS = (80, 100)

MODULE = LIGHT

RUNNER = """
import fcntl, json, struct, sys, termios
from advplug.cli import run

for width, words in json.loads(sys.argv[1]):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    print(end="\\x1e", flush=True)
    code = run(words)
    print(end=f"\\x1f{code}", flush=True)
"""
"""Runs commands one after the other in the terminal that stdout is, each at its width: torch is imported once."""

OWN = "own_light:Light --data data.npz"
SPENT = "--losses margin,0.5*margin+10*detector-score --epsilons 8/255,16/255,32/255"
COMMANDS = {
    "break": "break kwta --limit 4 --no-report --out broken",
    "evaluate": f"evaluate {OWN} --threat linf:64/255 --attacks pgd,apgd {SPENT} --no-report --out run",
    "nearest": f"evaluate {OWN} --threat l2:min --attacks pgd,ddn --epsilons 32/255,0.3,0.5 --no-report --out near",
    "compare": "compare run near broken",
    "several": f"evaluate {OWN} --threat linf:0.1,l2:1,l2:0.5 --attacks pgd --no-report --out several",
    "compare several": "compare several/own-light-Light-l2-0.5-n8-seed0 several/own-light-Light-l2-1-n8-seed0",
    "list": "list",
    "library": "list --library foolbox",
    "show": "show ead",
    "show a defense": "show kwta",
    "show losses": "show losses",
    "check": "check attack:fgm --quick",
    "doctor": "doctor",
    "search": f"search {OWN} --threat linf:64/255 --trials 2 --samples 8 --sentences 1 --no-traced --no-report --out s",
    "train": "train kwta --data digits.npz --out weights.safetensors",
    "help": "evaluate --help",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, int], str]:
    """What each command prints at each width."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "own_light.py").write_text(MODULE, encoding="utf-8")
    rng, x = np.random.default_rng(0), np.stack((np.linspace(0, 1, 8), np.full(8, 0.2)), 1).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=(x[:, 0] > 0.5).astype(int))
    np.savez(folder / "digits.npz", x=rng.integers(0, 256, (20, 1, 28, 28), dtype=np.uint8), y=np.arange(20) % 10)
    calls = [(width, shlex.split(line)) for line in COMMANDS.values() for width in WIDTHS]
    parts = in_a_terminal([sys.executable, "-c", RUNNER, json.dumps(calls)], folder).split("\x1e")[1:]
    found = {}
    for (name, width), part in zip(((name, width) for name in COMMANDS for width in WIDTHS), parts, strict=True):
        text, _, code = part.partition("\x1f")
        assert code == "0", f"{COMMANDS[name]} at {width} columns: {code}"
        found[name, width] = text
    return found


def in_a_terminal(command: list[str], folder: Path) -> str:
    """What the command writes on stdout, which is a terminal, without its colours."""
    ours, theirs = pty.openpty()
    unset = ("COLUMNS", "LINES", "PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"TERM": "xterm"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        written = bytearray()
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so of a terminal whose other side is closed
                break
            if not piece:
                break
            written += piece
        os.close(ours)
        told = (process.stderr.read() if process.stderr is not None else b"").decode()
    assert process.returncode == 0, told
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_than_the_terminal(shown: Mapping[tuple[str, int], str], name: str, width: int) -> None:
    lines = shown[name, width].splitlines()
    assert lines
    assert [line for line in lines if len(line.rstrip()) > width] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_column_is_a_letter_wide(shown: Mapping[tuple[str, int], str], name: str, width: int) -> None:
    """Once ``break`` printed its names one letter below the other, on 158 lines."""
    narrow = [line for line in shown[name, width].splitlines() if 0 < len(line.strip()) <= 2]
    assert len(narrow) <= 2, narrow


@pytest.mark.parametrize("width", WIDTHS)
def test_break_has_names_libraries_and_intervals(shown: Mapping[tuple[str, int], str], width: int) -> None:
    text = shown["break", width]
    assert len(text.splitlines()) < 50
    for word in ("PGD-40,", "authors'", "intermediate", "foolbox", "ART", "advplug", "finite", "differences"):
        assert re.search(rf"(^|[\s(]){re.escape(word)}($|[\s)])", text), word
    assert len(re.findall(r"\[ *[\d.]+, [\d.]+\]", text.partition("samples. ")[0])) == 11, "a Wilson interval each"
    assert re.search(r"13\.1 % \[1\]", text), "published, with the number of its source"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_detector_and_a_sweep_cost_no_column(shown: Mapping[tuple[str, int], str], width: int) -> None:
    table, _, below = shown["evaluate", width].partition("8 samples. ")
    for head in ("attack", "library", "accuracy", "95 %", "detected", "queries", "at full", "seconds"):
        assert head in table, head
    for budget in ("at 8/255", "at 16/255", "at 32/255"):
        assert budget in table, budget
    table, _, past = table.partition("Past the detector")
    assert len(re.findall(r"\[ *[\d.]+, [\d.]+\]", table)) == 6, "clean, four attacks, all together"
    assert re.search(r"accepted +SR@5 +SR@50", past)
    assert len(re.findall(r"(?m)^.*pgd.*( +[\d.]+ %){3}$", past)) == 4
    assert "under linf:64/255" in table
    assert "those at 64/255 alone stand apart" in " ".join(below.split())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_minimum_norm_run_shows_every_budget(shown: Mapping[tuple[str, int], str], width: int) -> None:
    table = shown["nearest", width].partition("8 samples. ")[0]
    for head in ("median", "mean", "at 32/255", "at 0.3", "at 0.5", "detected"):
        assert head in table, head


@pytest.mark.parametrize("width", WIDTHS)
def test_names_of_runs_are_cut_at_hyphens(shown: Mapping[tuple[str, int], str], width: int) -> None:
    heads = shown["compare several", width].partition("─")[0].splitlines()
    assert all(word.endswith(("-", "seed0", "attack")) for head in heads for word in head.split())


@pytest.mark.parametrize("width", WIDTHS)
def test_budgets_of_presets_are_fractions(shown: Mapping[tuple[str, int], str], width: int) -> None:
    assert "linf:8/255" in shown["show a defense", width]
    assert "0.0313725" not in shown["show a defense", width]


SLEEPY = """
import time, torch
from pathlib import Path

class Sleepy(torch.nn.Module):
    "Says in a file that it was asked, and takes its time."

    def forward(self, x):
        if list(Path().glob("run/*" if Path("at-once").exists() else "run/rows/*.json")):
            Path("asked").touch()
            time.sleep(0.2)
        light = x[:, 0] - 0.5
        return torch.stack((-light, light), 1)
"""


def hears_of_ctrl_c() -> None:
    """Undo that the tests are a job in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("command", "at_once", "told"),
    [
        ("evaluate own:Sleepy --attacks fgm,pgd", False, "run keeps 1 finished attack: the same command goes on"),
        ("evaluate own:Sleepy --attacks pgd,fgm", True, "no attack had finished, and run keeps nothing: the same"),
        ("search own:Sleepy --trials 2", True, "no attack had finished, and run keeps nothing: the same command"),
    ],
)
def test_ctrl_c_is_one_sentence_and_code_130(tmp_path: Path, command: str, at_once: bool, told: str) -> None:
    (tmp_path / "own.py").write_text(SLEEPY, encoding="utf-8")
    x = np.stack((np.linspace(0, 1, 8), np.full(8, 0.2)), 1).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=(x[:, 0] > 0.5).astype(int))
    if at_once:
        (tmp_path / "at-once").touch()
    words = f"-m advplug {command} --data data.npz --threat linf:0.2 --out run"
    with subprocess.Popen(
        [sys.executable, *shlex.split(words)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_of_ctrl_c,  # noqa: PLW1509
    ) as process:
        while not (tmp_path / "asked").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert err.splitlines()[-1].startswith(f"Error: interrupted: {told}")
