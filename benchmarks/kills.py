"""A run that is killed at random moments must give the bits of one that was not; prints the moments as a table.

    python benchmarks/kills.py --moments 20 --where command,worker,ray

command: the command itself is killed (SIGKILL), and given once more. worker, ray: one of its workers is killed, and the
command goes on. ``stored`` counts the stages of slices that were on disk at that moment. Linux only.
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
from pathlib import Path
from typing import Any

import click
import numpy as np

from advplug.evaluation.storage.piece import Piece

WORKERS = {"command": ["--workers", "1"], "worker": ["--workers", "2"], "ray": ["--executor", "ray", "--workers", "2"]}
MARKS = {"worker": "multiprocessing.spawn", "ray": "ray::_Actor"}
"""What the command line of a worker holds."""


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
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        start = time.perf_counter()
        finish(begin(asked, "command", whole))
        click.echo(f"uninterrupted: {time.perf_counter() - start:.1f} s, {len(rows(whole))} rows")
        click.echo("| where | moment in s | stages stored | killed | same bits |")
        click.echo("|---|---|---|---|---|")
        for place in where.split(","):
            start = time.perf_counter()
            finish(begin(asked, place, Path(folder) / place))
            length = time.perf_counter() - start
            for number in range(moments):
                out, moment = Path(folder) / f"{place}{number}", drawn.uniform(0, length)
                process = begin(asked, place, out)
                time.sleep(moment)
                victim = process.pid if place == "command" else worker_of(process.pid, MARKS[place])
                stored = stages_in(out)
                killed = victim is not None and process.poll() is None
                if victim is not None and killed:
                    os.kill(victim, signal.SIGKILL)
                process.wait()
                if place == "command":
                    finish(begin(asked, place, out))
                same = "yes" if equal(rows(whole), rows(out)) else "NO"
                click.echo(f"| {place} | {moment:.1f} | {stored} | {'yes' if killed else 'none alive'} | {same} |")


def begin(asked: list[str], place: str, out: Path) -> subprocess.Popen[bytes]:
    """The command, in the background."""
    program = [sys.executable, "-c", "from advplug.cli import main; main()"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*program, *asked, *WORKERS[place], "--out", str(out)], **quiet)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a command that must go well."""
    if process.wait():
        raise SystemExit(f"the command left with exit code {process.returncode}")


def worker_of(pid: int, mark: str) -> int | None:
    """The youngest process below ``pid`` with ``mark`` in its command line; those of Ray are anywhere."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            status = dict(part.split(":", 1) for part in (folder / "status").read_text().splitlines())
        except OSError:
            continue
        if mark in line and (mark.startswith("ray") or int(status["PPid"]) == pid):
            found.append(int(folder.name))
    return max(found, default=None)


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
