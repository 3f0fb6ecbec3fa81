"""Robust accuracy and time of the standard suite, beside AutoAttack as packaged in torchattacks, in one process.

python benchmarks/standard.py [--only mnist,mnist-linf] [--limit 200] [--skip 0] [--json FILE]
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
import torchattacks
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from advplug import Attack, ThreatModel, load, run
from advplug.engine.verification import TOLERANCE
from advplug.numerics.tensors import norms

CASES = {
    "mnist": (ThreatModel("linf", 0.1), ThreatModel("linf", 0.3)),
    "mnist-linf": (ThreatModel("linf", 0.3),),
    "mnist-l2": (ThreatModel("l2", 2.0),),
    "cifar10": (ThreatModel("linf", 2 / 255), ThreatModel("linf", 8 / 255)),
    "cifar10-linf": (ThreatModel("linf", 8 / 255),),
    "cifar10-l2": (ThreatModel("l2", 0.5),),
}
"""Presets of the defense adversarial-training, the first of each data set without one, and budgets."""

PEER_NORMS = {"linf": "Linf", "l2": "L2"}


@dataclass(frozen=True)
class Figure:
    """What one suite left, in how many seconds of wall clock and of processor time, from how many inputs per image."""

    robust: float
    wall: float
    cpu: float
    inputs: float


@click.command()
@click.option("--only", default=",".join(CASES), show_default=True, help="Presets, separated by commas.")
@click.option("--limit", default=200, show_default=True, help="Images, wrong ones included.")
@click.option("--skip", default=0, show_default=True, help="Leave out the first images.")
@click.option("--targets-at-once", default=1, show_default=True, help="Target classes of a sample in one batch; ours.")
@click.option("--steps", default=100, show_default=True, help="Of APGD and FAB, ours.")
@click.option(
    "--peer-steps", default=10, show_default=True, help="The same, theirs; 10 as packaged, the paper has 100."
)
@click.option("--patience", type=float, help="When our Square gives a sample up; by default never.")
@click.option("--threads", default=1, show_default=True)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows there, too.")
def main(
    *,
    only: str,
    limit: int,
    skip: int,
    targets_at_once: int,
    steps: int,
    peer_steps: int,
    patience: float | None,
    threads: int,
    file: Path | None,
) -> None:
    """Compare, and print one table; the suites take turns in running first."""
    torch.set_num_threads(threads)
    rows: list[tuple[str, Figure, Figure]] = []
    ours = load("attack:standard")(steps=steps, patience=patience)
    chosen = [(name, threat) for name in only.split(",") for threat in CASES[name]]
    for number, (name, threat) in enumerate(chosen):
        net, x, y = _case(name, skip, limit)
        suites: dict[str, Callable[[nn.Module], Tensor]] = {
            "ours": lambda model, x=x, y=y, threat=threat: _ours(model, x, y, threat, (ours, targets_at_once)),
            "theirs": lambda model, x=x, y=y, threat=threat: _theirs(model, x, y, threat, peer_steps),
        }
        order = list(suites) if number % 2 else list(reversed(suites))
        figures = {suite: _measure(suites[suite], net, x, y, threat) for suite in order}
        rows.append((f"{name}, {threat}", figures["ours"], figures["theirs"]))
        if file is not None:
            named = [{"case": case, "ours": asdict(left), "theirs": asdict(right)} for case, left, right in rows]
            file.write_text(
                json.dumps(
                    {"limit": limit, "skip": skip, "steps": steps, "peer_steps": peer_steps, "rows": named}, indent=1
                )
                + "\n"
            )
    _print(rows, limit)


def _case(name: str, skip: int, limit: int) -> tuple[nn.Module, Tensor, Tensor]:
    model = load("defense:adversarial-training")().build(name)
    dataset = load(f"data:{name.partition('-')[0]}")()
    split = "shipped" if "shipped" in dataset.splits else "test"
    images = dataset.load(split, skip + limit)[skip:]
    return model.eval(), images.inputs, images.labels


def _ours(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, settings: tuple[Attack, int]) -> Tensor:
    suite, at_once = settings
    found = run(suite, model, x, y, threat, targets_at_once=at_once)
    assert isinstance(found.adversarials, Tensor)
    return found.adversarials


def _theirs(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, steps: int) -> Tensor:
    suite = torchattacks.AutoAttack(
        model, norm=PEER_NORMS[threat.norm], eps=threat.epsilon, version="standard", n_classes=10, seed=0
    )
    for member in suite._autoattack.attacks:
        if hasattr(member, "steps"):  # Square has none
            member.steps = steps
    found: Tensor = suite(x, y)
    return found


def _measure(suite: Callable[[nn.Module], Tensor], net: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Figure:
    with _counted(net) as inputs:
        wall, cpu = time.perf_counter(), time.process_time()
        points = suite(net)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        asked = sum(inputs)
    assert threat.epsilon is not None
    # The same judge for both: within the budget up to a float's rounding, and misclassified.
    distance = norms(points.double() - x.double(), threat.norm)
    allowed = (distance <= threat.epsilon * (1 + 10 * TOLERANCE)) & ((points >= 0) & (points <= 1)).flatten(1).all(1)
    with torch.no_grad():
        broken = allowed & (net(points).argmax(1) != y)
        broken |= net(x).argmax(1) != y
    return Figure(float((~broken).double().mean()), wall, cpu, asked / len(x))


@contextmanager
def _counted(net: nn.Module) -> Iterator[list[int]]:
    """Collect how many inputs go through ``net``."""
    seen: list[int] = []
    hook = net.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    try:
        yield seen
    finally:
        hook.remove()


def _print(rows: list[tuple[str, Figure, Figure]], limit: int) -> None:
    table = Table(title=f"robust accuracy on {limit} images; seconds of processor time; inputs to the model per image")
    table.add_column("model and budget")
    for head in ("ours", "torchattacks", "ours s", "torchattacks s", "ratio", "ours inputs", "torchattacks inputs"):
        table.add_column(head, justify="right")
    for case, ours, theirs in rows:
        table.add_row(
            case,
            f"{100 * ours.robust:.1f} %",
            f"{100 * theirs.robust:.1f} %",
            f"{ours.cpu:.1f}",
            f"{theirs.cpu:.1f}",
            f"{ours.cpu / theirs.cpu:.2f}",
            f"{ours.inputs:,.0f}",
            f"{theirs.inputs:,.0f}",
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
