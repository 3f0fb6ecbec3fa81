"""Memory and time of one evaluation, as its number of samples grows: the memory of all its processes.

    python benchmarks/memory.py mnist.npz --model ecoc:mnist --attacks standard --samples 1000,10000 --workers 1,2

Prints one line for each run: seconds, those of processors, peak memory, and the memory at each tenth of the time (MB).
``--slices 64,256,1024`` cuts the samples otherwise than advplug does. Linux only.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import click

MB = 1 << 20
EVERY = 0.2
"""Seconds between two looks at the memory."""

PROGRAM = """
import sys
from advplug.evaluation import chain
chain.SLICE = int(sys.argv.pop(1))
chain.chains_of.__defaults__ = (chain.SLICE,)
from advplug.cli import main
main()
"""


@click.command()
@click.argument("data")
@click.option("--model", default="ecoc:mnist", show_default=True)
@click.option("--attacks", default="standard", show_default=True)
@click.option("--samples", default="1000,10000", show_default=True)
@click.option("--workers", default="1", show_default=True)
@click.option("--slices", default="256", show_default=True)
def main(data: str, *, model: str, attacks: str, samples: str, workers: str, slices: str) -> None:
    """Run every choice of samples, workers and slices on DATA, and print what it took."""
    for count, crew, size in product(samples.split(","), workers.split(","), slices.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            source = ["evaluate", model, "--data", data, "--attacks", attacks, "--limit", count, "--out", folder]
            busy = processor_seconds()
            seconds, memory = measured([size, *source, "--workers", crew, "--threads", "1", "--no-report"])
            busy = processor_seconds() - busy
        tenths = [memory[len(memory) * tenth // 10] // MB for tenth in range(10)]
        click.echo(
            f"{count} samples in slices of {size}, {crew} workers: {seconds:.0f} s, {busy:.0f} s of processors, "
            f"peak {max(memory) // MB} MB, over time {tenths}"
        )


def processor_seconds() -> float:
    """Those of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(arguments: list[str]) -> tuple[float, list[int]]:
    """Seconds, and the bytes of memory of the command and its children, every ``EVERY`` seconds."""
    start, memory = time.perf_counter(), []
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        memory.append(sum(_resident(pid) for pid in _family(process.pid)))
        time.sleep(EVERY)
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
