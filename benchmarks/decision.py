"""Attacks on decisions: the median distance after so many queries, ours beside those of Foolbox and ART.

python benchmarks/decision.py [--preset mnist] [--norm l2|linf] [--queries N] [--limit N] [--skip N] [--json FILE]

Ours run on all digits at once; GeoDA, which plans ahead, once for each number of queries. The others run on one digit
after the other behind a model that counts: whatever it is asked is a query, whichever adversarial point comes by is
theirs, and it stops them after the last query. A row says how many digits an attack came through in the time it was
given. Each attack has its defaults, but for the number of queries or steps. Seconds are those of the processor, for
the most queries and one digit. Rows are printed, and written to FILE, as they come.
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
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.numerics import norms
from advplug.tracking import Step, Tracker

QUERIES = (100, 300, 1000, 3000, 10_000)
OURS = ("boundary", "hopskipjump", "rays", "geoda", "sign-opt")
Row = dict[str, Any]
Digits = tuple[nn.Module, Tensor, Tensor]


class Enough(Exception):
    """The model was asked as often as it may be."""


class Counting(nn.Module):
    """``net`` under attack at one digit: ``nearest[k]`` is the distance of the best of the first k + 1 queries."""

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, norm: str, most: int) -> None:
        super().__init__()
        self.net, self.clean, self.label, self.norm, self.most = net, x, y, norm, most
        self.nearest: list[float] = []

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x.float())
        distance = torch.where(logits.argmax(1) != self.label, norms(x - self.clean, self.norm), math.inf)
        for value in distance.tolist():
            self.nearest.append(min(value, self.nearest[-1] if self.nearest else math.inf))
        if len(self.nearest) >= self.most:
            raise Enough
        return logits

    def after(self, queries: int) -> float:
        """The distance after so many queries, or after the last one where the attack ended before."""
        return self.nearest[min(queries, len(self.nearest)) - 1]


def foolbox(name: str, **options: Any) -> Callable[[nn.Module, Tensor, Tensor], None]:
    """An attack of Foolbox on a model, one input and its label."""
    from foolbox.models.pytorch import PyTorchModel

    attacks = import_module("foolbox.attacks")

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> None:
        getattr(attacks, name)(**options)(PyTorchModel(model, (0, 1), device="cpu"), x, y, epsilons=None)

    return attack


def art(name: str, **options: Any) -> Callable[[nn.Module, Tensor, Tensor], None]:
    """The same of ART."""
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> None:
        loss, shape = nn.CrossEntropyLoss(), tuple(x.shape[1:])
        classifier = PyTorchClassifier(model, loss, shape, 10, clip_values=(0, 1), device_type="cpu")
        getattr(evasion, name)(classifier, verbose=False, **options).generate(x.numpy(), y.numpy())

    return attack


def peers(norm: str, most: int) -> Iterator[tuple[str, str, Callable[[nn.Module, Tensor, Tensor], None]]]:
    """Library, name and attack of all that work under that norm, with more steps than the queries allow."""
    order = {"l2": 2, "linf": np.inf}[norm]
    yield "foolbox", "HopSkipJumpAttack", foolbox("HopSkipJumpAttack", constraint=norm, steps=1000)
    yield "ART", "HopSkipJump", art("HopSkipJump", norm=order, max_iter=1000)
    yield "ART", "GeoDA", art("GeoDA", norm=order, max_iter=most)
    if norm == "l2":
        yield "foolbox", "BoundaryAttack", foolbox("BoundaryAttack")
        yield "ART", "BoundaryAttack", art("BoundaryAttack", targeted=False)
        yield "ART", "SignOPTAttack", art("SignOPTAttack", targeted=False, query_limit=most)


class Nearest(Tracker):
    """The distance of the best point of each digit after each query: one step is one query of every digit."""

    def __init__(self) -> None:
        self.after: list[Tensor] = []

    def step(self, step: Step) -> None:
        here = torch.where(step.success, step.distance, math.inf)[step.samples.argsort()]
        self.after.append(torch.minimum(here, self.after[-1]) if self.after else here)


def of_ours(name: str, norm: Any, digits: Digits, budgets: list[int]) -> Row:
    """One attack of ours."""
    net, x, y = digits
    medians: dict[str, float] = {}
    for most in budgets if name == "geoda" else budgets[-1:]:
        nearest, started = Nearest(), time.process_time()
        run(load(f"attack:{name}")(queries=most), net, x, y, ThreatModel(norm), tracker=nearest)
        seconds = time.process_time() - started
        for queries in [most] if name == "geoda" else budgets:
            medians[str(queries)] = float(nearest.after[queries - 1].median())
    return {"digits": len(x), **medians, "seconds": seconds / len(x)}


def of_peer(attack: Callable[..., None], norm: str, digits: Digits, budgets: list[int], *, seconds: float) -> Row:
    """One attack of another library; digits until the time is over."""
    net, x, y = digits
    found, started = [], time.process_time()
    for number in range(len(x)):
        one = x[number : number + 1], y[number : number + 1]
        model = Counting(net, *one, norm, budgets[-1]).eval()
        with contextlib.suppress(Enough):
            attack(model, *one)
        found.append([model.after(queries) for queries in budgets])
        if time.process_time() - started > seconds:
            break
    spent = (time.process_time() - started) / len(found)
    medians = torch.tensor(found, dtype=torch.float64).median(0).values.tolist()
    return {"digits": len(found), **dict(zip(map(str, budgets), medians, strict=True)), "seconds": spent}


@click.command()
@click.option("--preset", "presets", multiple=True, default=("mnist", "mnist-linf"), show_default=True)
@click.option("--norm", "under", multiple=True, default=("l2", "linf"), show_default=True)
@click.option("--queries", "most", default=QUERIES[-1], show_default=True, help="The most queries of a digit.")
@click.option("--limit", default=20, show_default=True, help="Digits.")
@click.option(
    "--skip", default=0, show_default=True, help="Digits that come before them: our settings saw the first 20."
)
@click.option("--seconds", default=120.0, show_default=True, help="Begin no digit of a peer after so long.")
@click.option("--attack", "only", multiple=True, help="Only those of this name, of any library; all unless given.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the rows there.")
def main(
    *,
    presets: tuple[str, ...],
    under: tuple[str, ...],
    most: int,
    limit: int,
    skip: int,
    seconds: float,
    only: tuple[str, ...],
    path: Path | None,
) -> None:
    """Print a row for each network, norm and attack."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    warnings.filterwarnings("ignore")
    np.mat = np.asmatrix  # type: ignore[attr-defined]  # ART's GeoDA asks for what NumPy 2 removed
    budgets = [queries for queries in QUERIES if queries <= most]
    rows: list[Row] = []
    for preset in presets:
        net = load("defense:adversarial-training")().build(preset).requires_grad_(False)
        data = load("data:mnist")().load("shipped", 2 * (skip + limit))
        right = (net(data.inputs).argmax(1) == data.labels).nonzero().squeeze(1)[skip : skip + limit]
        digits = net, data.inputs[right], data.labels[right]
        for norm in under:
            for row in table(norm, digits, budgets, seconds=seconds, only=only):
                rows.append({"network": preset, "norm": norm, **row})
                print("  ".join(f"{key} {shown(value)}" for key, value in rows[-1].items()), flush=True)
                if path is not None:
                    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def table(norm: str, digits: Digits, budgets: list[int], *, seconds: float, only: tuple[str, ...]) -> Iterator[Row]:
    """A row for each attack under that norm, or for those named, ours first."""
    for name in [name for name in OURS if norm in load(f"attack:{name}")().norms]:
        if not only or name in only:
            yield {"library": "advplug", "attack": name, **of_ours(name, norm, digits, budgets)}
    for library, name, attack in peers(norm, budgets[-1]):
        if not only or name in only:
            row = of_peer(attack, norm, digits, budgets, seconds=seconds)
            yield {"library": library, "attack": name, **row}


def shown(value: Any) -> str:
    """Numbers with three decimals."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
