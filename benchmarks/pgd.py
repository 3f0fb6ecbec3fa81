"""PGD-40, step for step, against other libraries and the floor; then ten restarts, where survivors matter.

On the processor its own time counts, so that other programs disturb the figures less.

python benchmarks/pgd.py [--only steps|restarts] [--net MNIST] [--device cuda] [--repeats 5] [--threads 2]
"""

from __future__ import annotations

import statistics
import time
from importlib import metadata
from typing import Any

import click
import torch
from contestants import PEERS, STEPS, Contestant, advplug, floor, foolbox, frozen
from nets import Case, random_inputs, real_digits
from rich.console import Console
from rich.table import Table

VERSIONS = ("advplug", "foolbox", "adversarial-robustness-toolbox", "torchattacks", "secml-torch", "torch")


@click.command()
@click.option("--only", type=click.Choice(["steps", "restarts"]), help="One of the two kinds of table.")
@click.option("--net", default="", help="Part of the name of the network, of both unless given.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--repeats", default=5, show_default=True, help="Timed runs of each contestant; the median counts.")
@click.option("--threads", default=2, show_default=True)
def main(*, only: str | None, net: str, device: str, repeats: int, threads: int) -> None:
    """Print the tables."""
    torch.set_num_threads(threads)
    console = Console(width=110)
    console.print(f"{_versions()}; {device}, {threads} threads, median of {repeats} runs, PGD-{STEPS}")
    if only != "restarts":
        for case in (one for one in random_inputs(device) if net in one.name):
            console.print(_equal_work(case, repeats))
    if only != "steps":
        for case in real_digits(device):
            console.print(_restarts(case, repeats))
    if device != "cpu":
        _no_synchronisation(random_inputs(device)[0])
        console.print("no step of advplug's PGD waits for the device (cuda sync debug mode 'error')")


def _equal_work(case: Case, repeats: int) -> Table:
    plain = foolbox(case)
    runs: dict[str, Contestant] = {
        "floor": floor(case),
        "advplug": advplug(case, early_end=False),
        "foolbox": plain,
        "foolbox, parameters frozen for it": frozen(case.net, plain),
    }
    missing = {}
    for name, build in PEERS.items():
        try:
            runs[name] = build(case)
        except ImportError as error:
            missing[name] = str(error)
    times = _times(runs, repeats, case.x.device.type)
    return _table(f"{case.name}, batch {len(case.x)}: equal work", times, "floor", missing)


def _restarts(case: Case, repeats: int) -> Table:
    ours = advplug(case, restarts=10, random_start=True)
    runs = {
        "advplug, survivors only": ours,
        "advplug, everything every time": advplug(case, restarts=10, random_start=True, early_end=False),
        "foolbox .repeat(10)": foolbox(case, restarts=10),
    }
    title = f"{case.name}, batch {len(case.x)}: 10 restarts (robust accuracy {ours().robust_accuracy:.0%})"
    return _table(title, _times(runs, repeats, case.x.device.type), "advplug, survivors only", {})


def _times(runs: dict[str, Contestant], repeats: int, device: str) -> dict[str, list[float]]:
    """Interleaved, so that a slow moment of the machine hits all alike; one untimed round first."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    clock = time.process_time if device == "cpu" else time.perf_counter
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            _wait(device)
            start = clock()
            run()
            _wait(device)
            if repeat:
                times[name].append(clock() - start)
    return times


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _table(title: str, times: dict[str, list[float]], unit: str, missing: dict[str, str]) -> Table:
    table = Table("", "median s", "min s", f"x {unit}", title=title, title_justify="left")
    base = statistics.median(times[unit])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        table.add_row(name, f"{median:.3f}", f"{min(seconds):.3f}", f"{median / base:.2f}")
    for name, reason in missing.items():
        table.add_row(name, "-", "-", f"not installed: {reason}")
    return table


def _no_synchronisation(case: Case) -> None:
    """Fail if a step of PGD makes the host wait for the device."""
    from advplug_attack_pgd import PGD

    class Watched(PGD):
        def step(self, task: Any, state: Any) -> Any:
            torch.cuda.set_sync_debug_mode("error")
            try:
                return super().step(task, state)
            finally:
                torch.cuda.set_sync_debug_mode("default")

    from advplug.api import run
    from advplug.threat import ThreatModel

    run(Watched(steps=STEPS), case.net, case.x, case.y, ThreatModel("linf", case.epsilon))


def _versions() -> str:
    found = []
    for name in VERSIONS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} absent")
    return ", ".join(found)


if __name__ == "__main__":
    main()
