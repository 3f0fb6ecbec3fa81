"""What starting workers costs, and what each stage of a slice costs that travels to one: here, in processes, in Ray.

    python benchmarks/executors.py mnist.npz --samples 512,6000 --repeats 3

Prints the seconds of each run, start included, the least of the repeats, and a straight line through them: what a run
costs in that place whatever its size, and each stage.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import click
import numpy as np

from advplug.evaluation.chain import SLICE

PLACES = {
    "this process": ["--executor", "inline"],
    "1 process": ["--executor", "processes", "--workers", "1"],
    "2 processes": ["--executor", "processes", "--workers", "2"],
    "Ray, 1 worker": ["--executor", "ray", "--workers", "1"],
    "Ray, 2 workers": ["--executor", "ray", "--workers", "2"],
}


@click.command()
@click.argument("data")
@click.option("--model", default="adversarial-training:mnist", show_default=True)
@click.option("--attacks", default="pgd,apgd", show_default=True)
@click.option("--samples", default="512,6000", show_default=True)
@click.option("--repeats", default=1, show_default=True)
def main(data: str, model: str, attacks: str, samples: str, repeats: int) -> None:
    """Run each number of samples of DATA in each place."""
    sizes = [int(size) for size in samples.split(",")]
    stages = [len(attacks.split(",")) * -(-size // SLICE) for size in sizes]
    asked = ["evaluate", model, "--data", data, "--attacks", attacks, "--threads", "1", "--no-report"]
    heads = " | ".join(f"{size:,} samples, {count} stages" for size, count in zip(sizes, stages, strict=True))
    click.echo(f"| where | {heads} | whatever the size | each stage |\n|{'---|' * (len(sizes) + 3)}")
    for place, options in PLACES.items():
        spent = [min(seconds([*asked, *options, "--limit", str(size)]) for _ in range(repeats)) for size in sizes]
        slope, fixed = np.polyfit(stages, spent, 1)
        told = " | ".join(f"{one:.1f} s" for one in spent)
        click.echo(f"| {place} | {told} | {fixed:.1f} s | {1000 * slope:.0f} ms |")


def seconds(asked: list[str]) -> float:
    """How long the command takes, in a run directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from advplug.cli import main; main()", *asked, "--out", folder],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RAY_ADDRESS": "local"},  # not a cluster of somebody else's
        )
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
