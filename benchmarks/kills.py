"""A run that is killed at random moments must give the bits of one that was not; prints the moments as a table.

    python benchmarks/kills.py --moments 20 --where command,worker,ray

command: the command itself is killed (SIGKILL), and given once more. worker, ray: one of its workers is killed, and the
command goes on. Where none is alive yet, another moment is drawn. ``stored`` counts the stages of slices that were on
disk at that moment, ``again`` those that were begun before the kill and once more after it. Linux only.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from stages_begun import VARIABLE, begun_again, install

from advplug.evaluation.storage.piece import Piece

WORKERS = {"command": ["--workers", "1"], "worker": ["--workers", "2"], "ray": ["--executor", "ray", "--workers", "2"]}
MARKS = {"worker": "multiprocessing.spawn", "ray": "ray::_Actor"}
"""What the command line of a worker holds."""

PATIENCE = 20
"""A run that takes so many times as long as one without a kill hangs."""


@click.command()
@click.option("--moments", default=20, show_default=True)
@click.option("--where", default="command,worker,ray", show_default=True)
@click.option("--model", default="adversarial-training:mnist", show_default=True)
@click.option("--attacks", default="fgm,pgd,square", show_default=True)
@click.option("--samples", default=600, show_default=True)
def main(moments: int, where: str, model: str, attacks: str, samples: int) -> None:
    """Kill runs at random moments."""
    drawn = random.Random(0)
    asked = ["evaluate", model, "--attacks", attacks, "--limit", str(samples), "--threads", "1", "--no-report"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = install(folder / "plugin") | {"RAY_ADDRESS": "local"}  # not a cluster of somebody else's
        whole = Run(asked, "command", folder / "whole", environment)
        click.echo(f"uninterrupted: {whole.finish():.1f} s, {len(rows(whole.out))} rows")
        for place in where.split(","):
            length = Run(asked, place, folder / place, environment).finish()
            click.echo(f"\n{place}: {length:.1f} s without a kill\n")
            click.echo("| where | moment in s | stages stored | stages again | same bits |\n|---|---|---|---|---|")
            for number in range(moments):
                killed = None
                while killed is None:  # it may end before a kill
                    run = Run(asked, place, folder / f"{place}{number}-{time.time_ns()}", environment)
                    killed = run.kill(drawn, length)
                    if place == "command":
                        run = Run(asked, place, run.out, environment)
                    run.finish(PATIENCE * length)
                moment, stored = killed
                same = "yes" if equal(rows(whole.out), rows(run.out)) else "NO"
                click.echo(f"| {place} | {moment:.1f} | {stored} | {begun_again(run.begun)} | {same} |")


@dataclass
class Run:
    """The command with a run directory, in the background from the start."""

    asked: list[str]
    place: str
    out: Path
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        program = [sys.executable, "-c", "from advplug.cli import main; main()"]
        self.begun = self.out.with_suffix(".begun")
        self.begun.touch()
        self.start = time.perf_counter()
        self.process = subprocess.Popen(
            [*program, *self.asked, *WORKERS[self.place], "--out", str(self.out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**self.environment, VARIABLE: str(self.begun)},
        )

    def finish(self, patience: float | None = None) -> float:
        """Wait for the end of a command that must go well; returns the seconds since its start."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit(f"the command hangs: {self.out}") from None
        if code:
            raise SystemExit(f"the command left with exit code {code}")
        return time.perf_counter() - self.start

    def kill(self, drawn: random.Random, length: float) -> tuple[float, int] | None:
        """Kill the command or a worker at a moment of the first ``length`` seconds, or later if none is alive.

        Returns the seconds since the start and how many stages were stored, or None if the command ended before.
        """
        wait = drawn.uniform(0, length)
        while self.process.poll() is None:
            time.sleep(wait)
            pid = self.process.pid
            alive = [pid] if self.place == "command" else workers_of(pid, MARKS[self.place])
            if alive and self.process.poll() is None:
                moment, stored = time.perf_counter() - self.start, stages_in(self.out)
                os.kill(drawn.choice(alive), signal.SIGKILL)
                if self.place == "command":
                    self.process.wait()
                return moment, stored
            wait = drawn.uniform(0, length / 2)
        return None


def workers_of(pid: int, mark: str) -> list[int]:
    """The processes below ``pid``, however deep, with ``mark`` in their command line."""
    parents, marked = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            status = dict(part.split(":", 1) for part in (folder / "status").read_text().splitlines())
        except OSError:
            continue
        parents[int(folder.name)] = int(status["PPid"])
        if mark in line and "Z" not in status["State"]:
            marked.append(int(folder.name))
    return [each for each in sorted(marked) if is_below(each, pid, parents)]


def is_below(each: int, pid: int, parents: Mapping[int, int]) -> bool:
    """Whether ``each`` is a child of ``pid``, or of one of its children."""
    while each in parents and each != pid:
        each = parents[each]
    return each == pid


def stages_in(out: Path) -> int:
    """Stages of slices on disk: those of pieces, and those of finished rows as one for each slice."""
    pieces = [Piece.from_bytes(path.read_bytes()) for path in (out / "pieces").glob("*.safetensors")]
    return sum(max(1, len(piece.result.stages)) for piece in pieces) + 3 * len(list((out / "rows").glob("*.json")))


def rows(out: Path) -> dict[str, Any]:
    """Arrays and figures by the name of the row, without the time."""
    found = {}
    for path in (out / "rows").glob("*.json"):
        figures = json.loads(path.read_text())
        with np.load(path.with_suffix(".npz")) as arrays:
            content = {name: arrays[name].tobytes() for name in arrays.files}
        found[figures["name"]] = {"accuracy": figures["robust_accuracy"], **content}
    return found


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether all rows are the same to the last bit."""
    return one.keys() == other.keys() and all(one[name] == other[name] for name in one)


if __name__ == "__main__":
    main()
