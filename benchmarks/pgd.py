"""PGD-40, step for step, against other libraries and the floor; then ten restarts, where survivors matter.

    python benchmarks/pgd.py [--device cuda] [--repeats 5] [--threads 2]
"""

from __future__ import annotations

import statistics
import time
from importlib import metadata
from typing import Any

import click
import torch
from contestants import PEERS, STEPS, Contestant, advplug, floor, foolbox, frozen
from nets import attacked_samples, resnet18, small_net
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

EPSILON = {"MNIST net": 0.1, "ResNet-18": 8 / 255}
VERSIONS = ("advplug", "foolbox", "adversarial-robustness-toolbox", "torchattacks", "secml-torch", "torch")


@click.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--repeats", default=5, show_default=True, help="Timed runs of each contestant; the median counts.")
@click.option("--threads", default=2, show_default=True)
def main(*, device: str, repeats: int, threads: int) -> None:
    """Print the tables."""
    torch.set_num_threads(threads)
    console = Console(width=110)
    console.print(f"{_versions()}; {device}, {threads} threads, median of {repeats} runs, PGD-{STEPS}")
    for name, net, x, y in _cases(device):
        console.print(_equal_work(f"{name}, batch {len(x)}: equal work", net, x, y, EPSILON[name], repeats))
    for name, net, x, y, epsilon in attacked_samples(device):
        console.print(_restarts(f"{name}: 10 restarts", net, x, y, epsilon, repeats))
    if device != "cpu":
        _no_synchronisation(device)
        console.print("no step of advplug's PGD waits for the device (cuda sync debug mode 'error')")


def _cases(device: str) -> list[tuple[str, nn.Module, Tensor, Tensor]]:
    torch.manual_seed(0)
    cases: list[tuple[str, nn.Module, Tensor, Tensor]] = []
    for name, net, x in (
        ("MNIST net", small_net(), torch.rand(128, 1, 28, 28)),
        ("ResNet-18", resnet18(), torch.rand(32, 3, 32, 32)),
    ):
        net, x = net.to(device).eval(), x.to(device)
        with torch.no_grad():
            cases.append((name, net, x, net(x).argmax(1)))
    return cases


def _equal_work(title: str, net: nn.Module, x: Tensor, y: Tensor, epsilon: float, repeats: int) -> Table:
    plain = foolbox(net, x, y, epsilon)
    runs: dict[str, Contestant] = {
        "floor": floor(net, x, y),
        "advplug": advplug(net, x, y, epsilon, early_end=False),
        "foolbox": plain,
        "foolbox, parameters frozen for it": frozen(net, plain),
    }
    missing = {}
    for name, build in PEERS.items():
        try:
            runs[name] = build(net, x, y, epsilon)
        except ImportError as error:
            missing[name] = str(error)
    return _table(title, _times(runs, repeats, x.device.type), "floor", missing)


def _restarts(title: str, net: nn.Module, x: Tensor, y: Tensor, epsilon: float, repeats: int) -> Table:
    runs = {
        "advplug, survivors only": advplug(net, x, y, epsilon, restarts=10, random_start=True),
        "advplug, everything every time": advplug(
            net, x, y, epsilon, restarts=10, random_start=True, early_end=False
        ),
        "foolbox .repeat(10)": foolbox(net, x, y, epsilon, restarts=10),
    }
    left = float(runs["advplug, survivors only"]().robust_accuracy)
    times = _times(runs, max(1, repeats // 2), x.device.type)
    return _table(f"{title} (robust accuracy {left:.0%})", times, "advplug, survivors only", {})


def _times(runs: dict[str, Contestant], repeats: int, device: str) -> dict[str, list[float]]:
    """Interleaved, so that a slow moment of the machine hits all alike; one untimed round first."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            _wait(device)
            start = time.perf_counter()
            run()
            _wait(device)
            if repeat:
                times[name].append(time.perf_counter() - start)
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


def _no_synchronisation(device: str) -> None:
    """Fail if a step of PGD makes the host wait for the device."""
    from advplug_attack_pgd._pgd import PGD

    class Watched(PGD):
        def step(self, task: Any, state: Any) -> Any:
            torch.cuda.set_sync_debug_mode("error")
            try:
                return super().step(task, state)
            finally:
                torch.cuda.set_sync_debug_mode("default")

    from advplug.api import run
    from advplug.threat import ThreatModel

    _, net, x, y = _cases(device)[0]
    run(Watched(steps=STEPS), net, x, y, ThreatModel("linf", 0.1))


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
