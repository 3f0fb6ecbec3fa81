"""Time of ``advplug list`` with fifty more plugins installed, ten of them broken, beside an empty Python.

python benchmarks/listing.py [--repeats 11]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from advplug.testing.distributions import SmallDistribution, attack_source

LIST = "from advplug.cli import main; main(['list'])"
HEAVY = "torch numpy foolbox art"


def fifty() -> list[SmallDistribution]:
    """Fifty attack plugins, ``number-0`` to ``number-49``; every fifth is broken, in one of five ways."""
    return [
        SmallDistribution(
            name=f"advplug-attack-number-{n}",
            modules={f"advplug_attack_number_{n}.py": _source(n)},
            entry_points={f"attack-number-{n}": f"advplug_attack_number_{n}"},
        )
        for n in range(50)
    ]


def _source(n: int) -> str:
    good = attack_source(f"number-{n}")
    if n % 5:
        return good
    ways = (
        "import surely_absent_library",
        "import sys\nsys.exit(1)",
        good.replace("advplug_attacks", "advplug_atacks"),
        good.replace("advplug_attacks()", "advplug_attacks(colour)"),
        good.replace("    return", "    1 / 0\n    return"),
    )
    return ways[n // 5 % len(ways)]


@click.command()
@click.option("--repeats", default=11, show_default=True, help="Timed runs of each; the median counts.")
def main(repeats: int) -> None:
    """Print one table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for distribution in fifty():
            distribution.install(folder)
        paths = {"an empty Python": None, "advplug list": None, "advplug list, 50 plugins more": folder}
        commands = {label: [sys.executable, "-c", LIST if "list" in label else "pass"] for label in paths}
        times: dict[str, list[float]] = {label: [] for label in paths}
        for round_ in range(repeats + 1):  # interleaved; the first round writes the byte code
            for label, command in commands.items():
                seconds = _timed(command, paths[label])
                if round_:
                    times[label].append(seconds)
        click.echo(f"Python {sys.version.split()[0]}, median of {repeats} runs")
        for label, measured in times.items():
            middle, low, high = (1000 * value(measured) for value in (statistics.median, min, max))
            click.echo(f"{label:<32}{middle:.0f} ms ({low:.0f} to {high:.0f})")
        lines, heavy = _listed(folder)
        click.echo(f"{lines} of 50 are listed, the others are broken; imported of {HEAVY}: {' '.join(heavy) or 'none'}")


def _run(command: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADVPLUG_")}
    if folder is not None:
        environment["PYTHONPATH"] = str(folder)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def _timed(command: Sequence[str], folder: Path | None) -> float:
    start = time.perf_counter()
    _run(command, folder)
    return time.perf_counter() - start


def _listed(folder: Path) -> tuple[int, list[str]]:
    """How many of the fifty are listed, and which of the big packages that took."""
    program = (
        "import sys; from advplug.cli import run; run(['list']); "
        f"print('imported', *(name for name in {HEAVY.split()!r} if name in sys.modules))"
    )
    *rows, imported = _run([sys.executable, "-c", program], folder).stdout.splitlines()
    return sum(row.startswith("attack:number-") for row in rows), imported.split()[1:]


if __name__ == "__main__":
    main()
