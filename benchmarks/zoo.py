"""ZOO beside white-box Carlini-Wagner on digits, and what a small search space saves on pictures: two tables.

python benchmarks/zoo.py --only digits|pictures [--limit N] [--json FILE]

Both give the attack a model without a gradient that returns probabilities. The first digits and pictures are left out:
the settings below were chosen on them. Rows are printed, and written to FILE, as they come.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from imagenet import Pictures, efficientnet_lite0, known_pictures
from torch import Tensor, nn

from advplug import PlainModel, ThreatModel, load, run
from advplug.attack import Attack
from advplug.engine.result import AttackResult

Row = dict[str, Any]
SEARCH: dict[str, dict[str, Any]] = {
    "untargeted": {"search_steps": 4, "initial_c": 2.0, "steps": 200},
    "targeted": {"search_steps": 4, "initial_c": 2.0, "steps": 400},
}
DIGITS: dict[str, dict[str, Any]] = {
    "adam": {"step_size": 0.06, "final_step_size": 0.002},
    "newton": {"solver": "newton", "step_size": 0.15, "final_step_size": 0.01},
}
SPACES: dict[str, dict[str, Any]] = {
    "all values": {"space": None},
    "64 x 64 throughout": {"space": 64},
    "16, 32, 64": {"space": 16, "schedule": ((24, 32), (48, 64))},
    "8, 16, 32": {"space": 8, "schedule": ((6, 16), (30, 32))},  # turns to the next grid soon
    "8 x 8 throughout": {"space": 8},
}
UNLIMITED = 1000.0
"""A budget that nothing exceeds: the run ends at the first success."""
AT_ONCE = 8
"""Pictures in one forward pass: their activations fit into the caches, those of more do not."""


class ScoresOnly(PlainModel):
    """Probabilities of ``net``, computed where no gradient can follow."""

    outputs = "probabilities"

    def __init__(self, net: nn.Module, num_classes: int) -> None:
        super().__init__(self._ask, num_classes)
        self._net = [net]  # in a list: its parameters are none of the model's

    @torch.no_grad()
    def _ask(self, x: Tensor) -> Tensor:
        return self._net[0](x).double().softmax(1)


@click.command()
@click.option("--only", type=click.Choice(["digits", "pictures"]), required=True)
@click.option("--limit", default=20, show_default=True, help="Digits or pictures.")
@click.option("--skip", default=14, show_default=True, help="Pictures left out; of digits the first 200 are.")
@click.option("--queries", default=1500, show_default=True, help="Give up a picture after so many.")
@click.option("--spaces", default=";".join(SPACES), show_default=True, help="What pictures are searched in.")
@click.option("--goals", default="untargeted,targeted", show_default=True)
@click.option("--attacks", default="cw,adam,newton", show_default=True, help="White box, and solvers of ZOO.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the rows there.")
def main(
    *, only: str, limit: int, skip: int, queries: int, spaces: str, goals: str, attacks: str, path: Path | None
) -> None:
    """Print a row for each run."""
    torch.set_num_threads(1)
    rows = []
    if only == "digits":
        table = digits(limit, goals.split(","), attacks.split(","))
    else:
        table = pictures(limit, skip, queries, spaces.split(";"))
    for row in table:
        rows.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        if path is not None:
            path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def digits(limit: int, goals: list[str], attacks: list[str]) -> Iterator[Row]:
    """Success, mean distance and queries of each attack, untargeted and towards a random wrong class."""
    net, x, y, wrong = known_digits(limit)
    for goal in goals:
        threat = ThreatModel("l2", targeted=goal == "targeted")
        targets = wrong if threat.targeted else None
        for name in attacks:
            if name == "cw":
                attack, model = load("attack:cw")(initial_c=0.01), net  # nine constants, 1000 steps each
            else:
                attack = load("attack:zoo")(coordinates=64, patience=None, **SEARCH[goal], **DIGITS[name])
                model = ScoresOnly(net, 10)
            result, cost = _timed(attack, model, x, y, threat, targets=targets)
            first = run(attack, model, x, y, replace(threat, epsilon=UNLIMITED), targets=targets)
            asked = first.forwards[first.success].double()
            row = {"goal": goal, "attack": name, **_summary(result), **cost, "first success": f"{asked.median():.0f}"}
            yield {**row, "L2": [round(one, 4) for one in result.distance.tolist()]}


def known_digits(limit: int) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """The plain network, digits from number 200 on that it gets right, their classes and random wrong ones."""
    net = load("defense:adversarial-training")().build("mnist").requires_grad_(False)
    data = load("data:mnist")().load("shipped", 200 + 2 * limit)
    right = (net(data.inputs).argmax(1) == data.labels).nonzero().squeeze(1)
    chosen = right[right >= 200][:limit]
    x, y = data.inputs[chosen], data.labels[chosen]
    return net, x, y, (y + torch.randint(1, 10, y.shape, generator=torch.Generator().manual_seed(0))) % 10


def _timed(attack: Attack, *problem: Any, **options: Any) -> tuple[AttackResult, Row]:
    start = time.perf_counter()
    result = run(attack, *problem, **options)
    return result, {"seconds": f"{time.perf_counter() - start:.0f}"}


def _summary(result: AttackResult) -> Row:
    found = result.success
    return {
        "digits": len(found),
        "success %": f"{100 * found.double().mean():.1f}",
        "mean L2": f"{result.distance[found].mean():.4f}",
        "queries": int(result.forwards.double().mean()),
        "gradients": int(result.backwards.double().mean()),
    }


def pictures(limit: int, skip: int, queries: int, spaces: list[str]) -> Iterator[Row]:
    """Queries to the first success in each space, untargeted, one picture after the other."""
    net = efficientnet_lite0()
    known = known_pictures(net)
    model = ScoresOnly(net.to(memory_format=torch.channels_last), 1000)
    known = Pictures(*(part[skip : skip + limit] for part in known))
    coordinates = 32
    for number, (x, y) in enumerate(zip(known.x, known.y, strict=True)):
        for name in spaces:
            attack = load("attack:zoo")(
                search_steps=1,
                initial_c=10.0,
                steps=queries // (2 * coordinates + 1),
                coordinates=coordinates,
                step_size=0.1,
                tanh=True,
                patience=None,
                **SPACES[name],
            )
            threat = ThreatModel("l2", UNLIMITED)
            result, cost = _timed(attack, model, x[None], y[None], threat, memory_budget=AT_ONCE * x.nbytes * 3)
            yield {
                "picture": skip + number,
                "class": int(y),
                "space": name,
                "found": bool(result.success),
                "queries": int(result.forwards),
                "L2": f"{float(result.distance):.2f}",
                "margin": f"{float(result.trace[0, 0]):.2f}",
                "left": f"{float(result.trace[:, 0].nan_to_num(torch.inf).amin()):.2f}",
                **cost,
            }


if __name__ == "__main__":
    main()
