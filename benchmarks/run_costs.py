"""What a run costs beyond its steps, here and in Foolbox: passes, and processor time of each step and around the steps.

python benchmarks/run_costs.py [--model mnist] [--limit 50] [--steps 20] [--repeats 15] [--only ddn]
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from importlib import import_module

import click
import torch
from minimum_norm_budget import CountedNet
from minimum_norm_cases import MODELS, case
from nets import random_inputs
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.engine.problem import make_problem

SHORT = 2
"""Steps of the shorter run; what both runs have in common is around the steps."""

Run = Callable[[nn.Module, int], object]
"""``run(net, steps)``."""


@click.command()
@click.option("--model", type=click.Choice([*MODELS, "untrained"]), default="mnist", show_default=True)
@click.option("--limit", default=50, show_default=True, help="Images; the untrained network has 128 of noise.")
@click.option("--steps", default=20, show_default=True)
@click.option("--only", default="", help="Part of the names of the contestants; the floor always runs.")
@click.option("--repeats", default=15, show_default=True, help="Interleaved runs of each; their median counts.")
def main(*, model: str, limit: int, steps: int, only: str, repeats: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    net, x, y = _subject(model, limit)
    always = ("floor", " ")  # also what indented names stand for, the parts of a run
    runs = {
        name: one for name, one in _contestants(x, y).items() if only.lower() in name.lower() or name.startswith(always)
    }
    times = _times({name: one for name, (one, _) in runs.items()}, net, steps, repeats)
    step, _ = times["floor"]
    title = f"{model}, {len(x)} images, {steps} steps, processor time of one thread, median of {repeats}"
    table = Table("", "forwards", "backwards", "ms a step", "ms around", "x floor", title=title, title_justify="left")
    for name, (one, counts) in runs.items():
        each, around = times[name]
        forwards, backwards = _passes(one, net, len(x), steps) if counts else ("-", "-")
        whole = f"{(each * steps + around) / (step * steps):.2f}" if counts else "-"
        table.add_row(name, forwards, backwards, f"{each:.2f}" if counts else "-", f"{around:.2f}", whole)
    Console(width=110).print(table)


def _subject(model: str, limit: int) -> tuple[nn.Module, Tensor, Tensor]:
    if model == "untrained":
        found = random_inputs("cpu")[0]
        return found.net.requires_grad_(False), found.x, found.y
    trained = case(model, limit)
    return trained.net, trained.x, trained.y


def _contestants(x: Tensor, y: Tensor) -> dict[str, tuple[Run, bool]]:
    """Each run, and whether it has steps and passes to count."""

    def floor(net: nn.Module, steps: int) -> None:
        for _ in range(steps):
            point = x.detach().requires_grad_()
            torch.autograd.grad(nn.functional.cross_entropy(net(point), y, reduction="sum"), point)

    def foolbox(name: str, **options: object) -> Run:
        fb = import_module("foolbox")

        def attack(net: nn.Module, steps: int) -> object:
            given = fb.PyTorchModel(net, bounds=(0, 1), device="cpu")
            budget = 0.1 if options else None
            return getattr(fb.attacks, name)(steps=steps, **options)(given, x, y, epsilons=budget)

        return attack

    def ours(name: str, norm: str, epsilon: float | None = None, **options: object) -> Run:
        build = load(f"attack:{name}")
        threat = ThreatModel(norm, epsilon)  # type: ignore[arg-type]
        return lambda net, steps: run(build(steps=steps, **options), net, x, y, threat, early_end=False)

    def pass_alone(net: nn.Module, steps: int) -> None:
        with torch.no_grad():
            net(x)

    return {
        "floor": (floor, True),
        "foolbox LinfPGD": (foolbox("LinfPGD", abs_stepsize=0.01, random_start=False), True),
        "advplug pgd": (ours("pgd", "linf", 0.1, step_size=0.01, random_start=False), True),
        "foolbox DDNAttack": (foolbox("DDNAttack"), True),
        "advplug ddn": (ours("ddn", "l2"), True),
        "foolbox LInfFMNAttack": (foolbox("LInfFMNAttack"), True),
        "advplug fmn": (ours("fmn", "linf"), True),
        "  one forward pass of all images": (pass_alone, False),
        "  advplug's checks and probe of the model": (lambda net, steps: make_problem(net, x, y, "l2:min"), False),
    }


def _times(runs: dict[str, Run], net: nn.Module, steps: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Milliseconds of a step, and around all steps, from runs of ``SHORT`` and of so many more steps."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, one in runs.items():
            short, long = (_processor_time(one, net, count) for count in (SHORT, SHORT + steps))
            if repeat:  # the first round is untimed
                found[name].append((short, long))
    medians = {name: [statistics.median(each) for each in zip(*pairs, strict=True)] for name, pairs in found.items()}
    rates = {name: (long - short) / steps for name, (short, long) in medians.items()}
    return {name: (1e3 * rates[name], 1e3 * (medians[name][0] - SHORT * rates[name])) for name in runs}


def _processor_time(one: Run, net: nn.Module, steps: int) -> float:
    start = time.process_time()
    one(net, steps)
    return time.process_time() - start


def _passes(one: Run, net: nn.Module, images: int, steps: int) -> tuple[str, str]:
    """Forward and backward passes of an image, on average."""
    counted = CountedNet(net).eval()
    one(counted, steps)
    return f"{counted.forwards / images:.2f}", f"{counted.backwards / images:.2f}"


if __name__ == "__main__":
    main()
