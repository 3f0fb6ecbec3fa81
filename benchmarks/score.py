"""Attacks on scores: robust accuracy after so many queries within a budget, ours beside those of ART and torchattacks.

python benchmarks/score.py [--preset mnist] [--limit N] [--skip N] [--json FILE]

All see logits and no gradient. Ours run on all digits at once, the others on one digit after the other behind a model
that counts as in decision.py: the first query within the budget that is misclassified ends the digit, for every
attack. Defaults, but for the number of queries or steps; ART's SimBA and ZOO have no budget, so it judges their points.
Seconds are those of the processor, for 1000 queries of one digit. Rows are printed, and written to FILE, as they come.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from decision import Counting, Digits, Enough, Row, art, shown
from torch import Tensor, nn

from advplug import PlainModel, ThreatModel, load, run

QUERIES = (100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000)
MOST = QUERIES[-1]
BUDGETS: dict[str, float] = {"linf": 0.15, "l2": 2.5, "l0": 10.0}
OURS: dict[str, dict[str, dict[str, Any]]] = {
    "linf": {"square": {"queries": MOST}, "simba": {"queries": MOST}, "spsa": {"steps": MOST // 129 + 1}},
    "l2": {
        "square": {"queries": MOST},
        "simba": {"queries": MOST},
        "spsa": {"steps": MOST // 129 + 1},
        "zoo": {"coordinates": 64, "search_steps": 1, "initial_c": 2.0, "step_size": 0.1, "steps": MOST // 129 + 1},
    },
    "l0": {"sparse-rs": {"queries": MOST}, "one-pixel": {"generations": MOST // 401 + 1}},
}
"""ZOO has the settings of docs/black-box.md: its defaults take more queries than these for the first step down."""

SAME = 1 / 512
"""Values that differ by less count as unchanged under l0: ART goes by 0 to 255 and back."""


class Within(Counting):
    """The model that counts, and stops at the first success within ``epsilon``."""

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, norm: str, epsilon: float) -> None:
        super().__init__(net, x, y, norm, MOST)
        self.epsilon = epsilon * (1 + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm == "l0":
            x = torch.where((x - self.clean).abs() < SAME, self.clean, x)
        logits = super().forward(x)
        if self.nearest[-1] <= self.epsilon:
            raise Enough
        return logits

    @property
    def found(self) -> float:
        """The number of the first query that succeeded, from 1; inf without."""
        hits = [number for number, distance in enumerate(self.nearest, 1) if distance <= self.epsilon]
        return hits[0] if hits and hits[0] <= MOST else math.inf


def torchattacks(name: str, **options: Any) -> Callable[[nn.Module, Tensor, Tensor], None]:
    """An attack of torchattacks on a model, one input and its label."""

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> None:
        getattr(import_module("torchattacks"), name)(model, **options)(x, y)

    return attack


def peers(norm: str) -> Iterator[tuple[str, str, Callable[[nn.Module, Tensor, Tensor], None]]]:
    """Library, name and attack of all that work under that norm, with more steps than the queries allow."""
    epsilon = BUDGETS[norm]
    if norm == "l0":
        yield "ART", "PixelAttack", art("PixelAttack", th=int(epsilon), max_iter=MOST)
        yield "torchattacks", "OnePixel", torchattacks("OnePixel", pixels=int(epsilon), steps=MOST)
        return
    order = {"l2": 2, "linf": np.inf}[norm]
    square = {"norm": norm.capitalize(), "eps": epsilon, "n_queries": MOST}
    yield "ART", "SquareAttack", art("SquareAttack", norm=order, eps=epsilon, max_iter=MOST)
    yield "torchattacks", "Square", torchattacks("Square", **square)
    if norm == "linf":
        yield "torchattacks", "SPSA", torchattacks("SPSA", eps=epsilon, nb_iter=MOST)
    else:
        simba = art("SimBA", attack="px", max_iter=MOST, epsilon=0.2)
        yield (
            "ART",
            "SimBA",
            lambda model, x, y: simba(nn.Sequential(model, nn.Softmax(1)), x, nn.functional.one_hot(y, 10)),
        )
        settings = {"learning_rate": 0.1, "initial_const": 2.0, "use_resize": False, "use_importance": False}
        yield "ART", "ZooAttack", art("ZooAttack", max_iter=MOST, nb_parallel=64, **settings)


def row(norm: str, library: str, name: str, *, found: list[float], asked: float, seconds: float) -> Row:
    """Robust accuracy in percent after each number of queries, given those of the first success of each digit."""
    robust = {str(q): 100 * sum(one > q for one in found) / len(found) for q in QUERIES}
    shares = {"robust": f"at {norm} {BUDGETS[norm]:g}", **robust}
    return {"norm": norm, "library": library, "attack": name, "digits": len(found), **shares, "s/1000": seconds / asked}


def of_ours(norm: Any, name: str, digits: Digits) -> Row:
    """One attack of ours."""
    net, x, y = digits
    model, started = PlainModel(net, num_classes=10), time.process_time()
    attack = load(f"attack:{name}")(**OURS[norm][name])
    result = run(attack, model, x, y, ThreatModel(norm, BUDGETS[norm]))
    spent = time.process_time() - started
    asked = [float(min(one, MOST)) for one in result.forwards.tolist()]
    pairs = zip(result.success.tolist(), result.forwards.tolist(), strict=True)
    found = [q if ok else math.inf for ok, q in pairs]
    return row(norm, "advplug", name, found=found, asked=sum(asked) / 1000, seconds=spent)


def of_peer(attack: Callable[..., None], norm: str, digits: Digits, *, named: tuple[str, str], seconds: float) -> Row:
    """One attack of another library; digits until the time is over."""
    net, x, y = digits
    found, asked, started = [], 0.0, time.process_time()
    for number in range(len(x)):
        one = x[number : number + 1], y[number : number + 1]
        model = Within(net, *one, norm, BUDGETS[norm]).eval()
        with contextlib.suppress(Enough):
            attack(model, *one)
        found.append(model.found)
        asked += len(model.nearest) / 1000
        if time.process_time() - started > seconds:
            break
    return row(norm, *named, found=found, asked=asked, seconds=time.process_time() - started)


@click.command()
@click.option("--preset", default="mnist", show_default=True)
@click.option("--norm", "under", multiple=True, default=tuple(BUDGETS), show_default=True)
@click.option("--limit", default=30, show_default=True, help="Digits.")
@click.option("--skip", default=20, show_default=True, help="Digits that come before them.")
@click.option("--seconds", default=120.0, show_default=True, help="Begin no digit of a peer after so long.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the rows there.")
def main(*, preset: str, under: tuple[str, ...], limit: int, skip: int, seconds: float, path: Path | None) -> None:
    """Print a row for each norm and attack."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    warnings.filterwarnings("ignore")
    net = load("defense:adversarial-training")().build(preset).requires_grad_(False)
    data = load("data:mnist")().load("shipped", 2 * (skip + limit))
    right = (net(data.inputs).argmax(1) == data.labels).nonzero().squeeze(1)[skip : skip + limit]
    digits = net, data.inputs[right], data.labels[right]
    rows: list[Row] = []
    for norm in under:
        for one in table(norm, digits, seconds):
            rows.append({"network": preset, **one})
            print("  ".join(f"{key} {shown(value)}" for key, value in rows[-1].items()), flush=True)
            if path is not None:
                path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def table(norm: str, digits: Digits, seconds: float) -> Iterator[Row]:
    """A row for each attack under that norm, ours first."""
    for name in OURS[norm]:
        yield of_ours(norm, name, digits)
    for library, name, attack in peers(norm):
        yield of_peer(attack, norm, digits, named=(library, name), seconds=seconds)


if __name__ == "__main__":
    main()
