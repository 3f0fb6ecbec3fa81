"""``advplug.evaluate`` beside AutoAttack as packaged in torchattacks: which samples each leaves, on shipped networks.

python benchmarks/autoattack.py [--only NAME:PRESET,...] [--limit 100] [--peer-steps 10] [--json FILE]
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torchattacks
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import advplug
from advplug.data import Images
from advplug.engine.verification import TOLERANCE
from advplug.model import DefendedModel
from advplug.numerics import norms
from advplug.plugins.manager import default_manager
from advplug.threat import ThreatModel

PEER_NORMS = {"linf": "Linf", "l2": "L2"}


@dataclass(frozen=True)
class Comparison:
    """How many of ``samples`` each suite leaves, and how many stand under one of them alone."""

    case: str
    threat: str
    samples: int
    clean: int
    ours: int
    theirs: int
    only_ours: int
    only_theirs: int
    our_seconds: float
    their_seconds: float


@click.command()
@click.option("--only", default="", help="Presets, separated by commas; all if absent.")
@click.option("--limit", default=100, show_default=True, help="Images, wrong ones included.")
@click.option("--peer-steps", default=10, show_default=True, help="Of their APGD and FAB; the paper has 100.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows there, too.")
def main(*, only: str, limit: int, peer_steps: int, file: Path | None) -> None:
    """Compare, and print one table; exit code 1 if ours leaves more on some network."""
    rows: list[Comparison] = []
    for name in only.split(",") if only else shipped():
        rows.append(compare(name, limit, peer_steps))
        if file is not None:
            found = {"limit": limit, "peer_steps": peer_steps, "rows": [asdict(row) for row in rows]}
            file.write_text(json.dumps(found, indent=1) + "\n")
    _print(rows, peer_steps)
    raise SystemExit(1 if any(row.ours > row.theirs for row in rows) else 0)


def shipped(data: str = "mnist") -> list[str]:
    """Presets for ``data`` whose weights ship, and whose answers are neither random nor rejections.

    Both suites need a budget in Linf or L2.
    """
    found = []
    for spec in default_manager().specs("defense"):
        defense = spec.load()()
        for name, preset in defense.presets.items():
            budget = preset.threat.epsilon is not None and preset.threat.norm in PEER_NORMS
            if preset.data == data and preset.weights is not None and budget:
                model = defense.build(name)
                if not (model.stochastic or model.rejects):
                    found.append(f"{spec.name}:{name}")
    return found


def compare(name: str, limit: int, peer_steps: int = 10) -> Comparison:
    """Both suites on the first ``limit`` digits that ship, under the budget of the preset ``name``."""
    defense, _, preset = name.partition(":")
    plugin = advplug.load(f"defense:{defense}")()
    model, threat = plugin.build(preset).eval(), plugin.preset(preset).threat
    digits = advplug.load("data:mnist")().load("shipped", limit)
    start = time.perf_counter()
    evaluation = advplug.evaluate(model, digits, threat, "standard", progress=False)
    between = time.perf_counter()
    theirs = _left(model, digits, _theirs(model, digits, threat, peer_steps), threat)
    end = time.perf_counter()
    adversarials = torch.from_numpy(np.asarray(evaluation.rows[0].arrays["adversarials"]))
    ours = _left(model, digits, adversarials, threat)
    with torch.no_grad():
        clean = model(digits.inputs).argmax(1) == digits.labels
    return Comparison(
        case=name,
        threat=str(threat),
        samples=len(digits),
        clean=int(clean.sum()),
        ours=int(ours.sum()),
        theirs=int(theirs.sum()),
        only_ours=int((ours & ~theirs).sum()),
        only_theirs=int((theirs & ~ours).sum()),
        our_seconds=between - start,
        their_seconds=end - between,
    )


def _theirs(model: DefendedModel, digits: Images, threat: ThreatModel, steps: int) -> torch.Tensor:
    suite = torchattacks.AutoAttack(
        model, norm=PEER_NORMS[threat.norm], eps=threat.epsilon, version="standard", n_classes=10, seed=0
    )
    for member in suite._autoattack.attacks:
        if hasattr(member, "steps"):  # Square has none
            member.steps = steps
    found: torch.Tensor = suite(digits.inputs, digits.labels)
    return found


def _left(model: DefendedModel, digits: Images, points: torch.Tensor, threat: ThreatModel) -> NDArray[Any]:
    """Which samples are right and not broken, bool (N,): one judge for both suites, exact but for rounding."""
    distance = norms(points.double() - digits.inputs.double(), threat.norm)
    allowed = (distance <= threat.budget * (1 + 10 * TOLERANCE)) & ((points >= 0) & (points <= 1)).flatten(1).all(1)
    with torch.no_grad():
        broken = allowed & (model(points).argmax(1) != digits.labels)
        left: NDArray[Any] = ((model(digits.inputs).argmax(1) == digits.labels) & ~broken).numpy()
    return left


def _print(rows: list[Comparison], peer_steps: int) -> None:
    table = Table(title=f"samples left; torchattacks with {peer_steps} steps of APGD and FAB")
    table.add_column("network and budget")
    for head in (
        "samples",
        "clean",
        "advplug",
        "torchattacks",
        "only advplug leaves",
        "only they leave",
        "s",
        "their s",
    ):
        table.add_column(head, justify="right")
    for row in rows:
        counts = (row.samples, row.clean, row.ours, row.theirs, row.only_ours, row.only_theirs)
        seconds = f"{row.our_seconds:.0f}", f"{row.their_seconds:.0f}"
        table.add_row(f"{row.case}, {row.threat}", *map(str, counts), *seconds)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
