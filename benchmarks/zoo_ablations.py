"""ZOO without importance sampling, and without the reset of Adam, beside ZOO with both: one table.

python benchmarks/zoo_ablations.py --only digits|pictures [--limit N] [--skip N] [--seeds 0,1] [--json FILE]

One constant, 10 as in the paper, and growing grids. The seed of a run is the same for each variant, which begin alike.
Rows are printed, and written to FILE, as they come.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from imagenet import efficientnet_lite0, foolbox_pictures
from torch import Tensor
from zoo import AT_ONCE, UNLIMITED, Row, ScoresOnly, known_digits

from advplug import PlainModel, ThreatModel, load, run
from advplug.engine.result import AttackResult

VARIANTS: dict[str, dict[str, Any]] = {
    "both": {},
    "no importance sampling": {"importance": False},
    "no reset of Adam": {"adam_reset": False},
    "all values from the start": {"space": None, "schedule": ()},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {
        "coordinates": 48,
        "space": 7,
        "schedule": ((0.1, 14), (0.3, 28)),
        "step_size": 0.06,
        "final_step_size": 0.002,
    },
    "pictures": {
        "coordinates": 32,
        "space": 8,
        "schedule": ((0.1, 16), (0.3, 32)),
        "step_size": 0.05,
        "tanh": True,
    },
}
"""The step of a schedule is a share of the steps here."""
SMALL = 10_000
"""Values of an input up to which all fit into a batch."""


class Inputs(NamedTuple):
    """Inputs (N, C, H, W), their classes (N,) and those aimed at (N,) on digits and pictures that the model knows."""

    model: PlainModel
    x: Tensor
    y: Tensor
    wrong: Tensor


@click.command()
@click.option("--only", type=click.Choice(["digits", "pictures"]), required=True)
@click.option("--limit", default=30, show_default=True, help="Digits or pictures.")
@click.option("--skip", default=0, show_default=True, help="Pictures left out; of digits the first 200 are.")
@click.option("--steps", default=300, show_default=True, help="Of the one descent.")
@click.option("--until-success", is_flag=True, help="End at the first success, rather than search for a nearer one.")
@click.option("--seeds", default="0,1", show_default=True)
@click.option("--goals", default="untargeted,targeted", show_default=True)
@click.option("--variants", default=";".join(VARIANTS), show_default=True, help="The first is what others are held to.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the rows there.")
def main(
    *,
    only: str,
    limit: int,
    skip: int,
    steps: int,
    until_success: bool,
    seeds: str,
    goals: str,
    variants: str,
    path: Path | None,
) -> None:
    """Print a row for each goal, seed and variant, and for each picture."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    epsilon = UNLIMITED if until_success else None
    for given in _digits(limit) if only == "digits" else _pictures(limit, skip):
        for goal in goals.split(","):
            for seed in map(int, seeds.split(",")):
                threat = ThreatModel("l2", epsilon, targeted=goal == "targeted")
                for row in ablated(given, threat, settings(only, steps), seed, variants.split(";")):
                    rows.append({"number": len(rows), **row})
                    print("  ".join(f"{key} {value}" for key, value in row.items() if key != "all L2"), flush=True)
                    if path is not None:
                        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _digits(limit: int) -> Iterator[Inputs]:
    """All at once."""
    net, x, y, wrong = known_digits(limit)
    yield Inputs(ScoresOnly(net, 10), x, y, wrong)


def _pictures(limit: int, skip: int) -> Iterator[Inputs]:
    """One after the other, at half of their size: a query takes a seventh of the time."""
    net = efficientnet_lite0().to(memory_format=torch.channels_last)
    pictures = foolbox_pictures()
    small = torch.nn.functional.avg_pool2d(pictures.x, 2)
    with torch.no_grad():
        right = (net(small).argmax(1) == pictures.y).nonzero().squeeze(1)[skip : skip + limit]
    for x, y in zip(small[right], pictures.y[right], strict=True):
        yield Inputs(ScoresOnly(net, 1000), x[None], y[None], (y[None] + 500) % 1000)


def settings(only: str, steps: int) -> dict[str, Any]:
    """Of ZOO with both techniques; the schedule in steps."""
    given = SETTINGS[only]
    schedule = tuple((round(share * steps), side) for share, side in given["schedule"])
    return {**given, "search_steps": 1, "initial_c": 10.0, "patience": None, "steps": steps, "schedule": schedule}


def ablated(
    given: Inputs, threat: ThreatModel, techniques: dict[str, Any], seed: int, variants: list[str]
) -> Iterator[Row]:
    """A row for each variant: how many succeed, when, and at which distance."""
    targets = given.wrong if threat.targeted else None
    # Of large inputs few at once, whose activations fit into the caches.
    options = {"memory_budget": AT_ONCE * given.x[0].nbytes * 3} if given.x[0].numel() > SMALL else {}
    held: AttackResult | None = None
    for name in variants:
        attack = load("attack:zoo")(**{**techniques, **VARIANTS[name]})
        start = time.process_time()
        result = run(attack, given.model, given.x, given.y, threat, targets=targets, seed=seed, **options)
        held = result if held is None else held
        yield {
            "classes": ",".join(map(str, given.y.tolist())) if len(given.y) == 1 else "all",
            "goal": "targeted" if threat.targeted else "untargeted",
            "seed": seed,
            "variant": name,
            "of": len(given.x),
            **compared(result, held, 2 * attack.coordinates + 1),
            "seconds": f"{time.process_time() - start:.0f}",
            "all L2": [round(one, 4) for one in result.distance.tolist()],
        }


def compared(result: AttackResult, held: AttackResult, queries: int) -> Row:
    """Queries to the first success, distance at the end, and how many inputs are nearer or farther than in ``held``."""
    found = result.success & held.success
    reached = result.trace <= 0  # the loss is zero from the boundary on
    first = torch.where(reached.any(0), reached.int().argmax(0) * queries + 1, torch.inf)
    return {
        "found": int(result.success.sum()),
        "first success": f"{first.median():.0f}",
        "mean L2": f"{result.distance[result.success].mean():.4f}",
        "ratio": f"{(result.distance / held.distance)[found].log().mean().exp():.4f}",
        "nearer": int((result.distance < held.distance)[found].sum()),
        "farther": int((result.distance > held.distance)[found].sum()),
        "queries": int(result.forwards.double().mean()),
    }


if __name__ == "__main__":
    main()
