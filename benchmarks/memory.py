"""Memory and time of one evaluation, as its number of samples grows: the memory of all its processes, once a second.

    python benchmarks/memory.py mnist.npz --model ecoc:mnist --attacks standard --samples 1000,10000 --workers 1,2

Prints one line for each run: seconds, peak memory, and the memory at each tenth of the time, in MB. Linux only.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

MB = 1 << 20


@click.command()
@click.argument("data")
@click.option("--model", default="ecoc:mnist", show_default=True)
@click.option("--attacks", default="standard", show_default=True)
@click.option("--samples", default="1000,10000", show_default=True)
@click.option("--workers", default="1", show_default=True)
def main(data: str, model: str, attacks: str, samples: str, workers: str) -> None:
    """Run every pair of numbers of samples and workers on DATA, and print what it took."""
    for count in samples.split(","):
        for crew in workers.split(","):
            with tempfile.TemporaryDirectory() as folder:
                source = ["evaluate", model, "--data", data, "--attacks", attacks, "--limit", count, "--out", folder]
                seconds, memory = measured([*source, "--workers", crew, "--threads", "1", "--no-report"])
            tenths = [memory[len(memory) * tenth // 10] // MB for tenth in range(10)]
            click.echo(
                f"{count} samples, {crew} workers: {seconds:.0f} s, peak {max(memory) // MB} MB, over time {tenths}"
            )


def measured(arguments: list[str]) -> tuple[float, list[int]]:
    """Seconds, and the bytes of memory of the command and its children, once a second."""
    start, memory = time.perf_counter(), []
    command = [sys.executable, "-c", "from advplug.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        memory.append(sum(_resident(pid) for pid in _family(process.pid)))
        time.sleep(1)
    if process.returncode:
        raise SystemExit(f"the command left with exit code {process.returncode}")
    return time.perf_counter() - start, memory


def _family(pid: int) -> list[int]:
    """A process and those that it started, and they."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it ended just now
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _resident(pid: int) -> int:
    """Bytes of memory that a process does not share with others, and that are in use."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:"))


if __name__ == "__main__":
    main()
