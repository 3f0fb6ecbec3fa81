"""Runs one minimum-norm attack, counts and times what it does, and judges what it returns: nobody's flag is trusted."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, NamedTuple

import numpy as np
import torch
from minimum_norm_budget import ROUNDING, BudgetedNet, CountedNet, Enough
from torch import Tensor, nn

from advplug.numerics.tensors import norms

SPILL = 1e-3
"""A point this little outside [0, 1] is clipped and then judged, as its user would do; further out it is refused."""


ROUNDS = ("binary_search_steps", "search_steps")
STEPS = ("steps", "max_iter", "max_iterations", "iterations")
HIDDEN = ("norm", "perturbation_model", "eps", "verbose", "batch_size")
"""Constructor arguments by what the table makes of them."""


class Found(NamedTuple):
    """What an attack returns: ``points`` like the inputs, and which it calls a success, bool (N,), if it says so."""

    points: Tensor
    claimed: Tensor | None = None


class Contestant(NamedTuple):
    """An attack of some library; ``find(net, x, y)`` runs it.

    ``prepare``, with the same arguments, goes first and is neither timed nor counted: imports and compilers.
    """

    library: str
    attack: str
    settings: str
    find: Callable[[nn.Module, Tensor, Tensor], Found]
    prepare: Callable[[nn.Module, Tensor, Tensor], object]
    slow: bool = False

    @property
    def name(self) -> str:
        return f"{self.library} {self.attack}"


@dataclass
class Outcome:
    """``distances`` float64 (N,), NaN where there is no success; passes per sample; ``remarks`` counts points."""

    contestant: Contestant
    distances: Tensor
    forwards: float = 0.0
    backwards: float = 0.0
    seconds: float = 0.0
    remarks: dict[str, int] = field(default_factory=dict)
    error: str | None = None


def measure(
    contestant: Contestant,
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: str,
    *,
    budget: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Outcome:
    """Run ``contestant`` on inputs (N, ...) in [0, 1] that ``net`` gets right. An error that it raises is reported.

    With a ``budget`` it may make so many forwards of each image, and as many backwards. What counts is the best point
    that was asked within; what it returns counts only for images for which it asked no more.
    """
    counted = (CountedNet(net) if budget is None else BudgetedNet(net, x, y, norm, budget)).eval()
    torch.manual_seed(0)
    np.random.seed(0)
    outcome, found = Outcome(contestant, torch.full((len(x),), torch.nan, dtype=torch.float64)), Found(x)
    start = clock()
    try:
        with redirect_stdout(StringIO()), suppress(Enough):
            contestant.prepare(net, x.clone(), y.clone())
            start = clock()
            found = contestant.find(counted, x.clone(), y.clone())
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"
    outcome.seconds = clock() - start
    outcome.forwards, outcome.backwards = counted.forwards / len(x), counted.backwards / len(x)
    net.eval()
    if outcome.error is None:
        outcome.distances, outcome.remarks = judge(found, net, x, y, norm)
    if isinstance(counted, BudgetedNet):
        _within(counted, outcome)
    return outcome


def _within(counted: BudgetedNet, outcome: Outcome) -> None:
    """The best of what was asked within the budget, and of what was returned without asking for more."""
    kept, _ = judge(Found(counted.best), counted.net, counted.clean, counted.label, counted.norm)
    returned = torch.where(counted.overdrawn, torch.nan, outcome.distances)
    outcome.distances = torch.fmin(kept, returned)


@torch.no_grad()
def judge(found: Found, net: nn.Module, x: Tensor, y: Tensor, norm: str) -> tuple[Tensor, dict[str, int]]:
    """Distances (N,), NaN where the point is not finite, out of bounds, all black or not misclassified; remarks.

    An all-black image is what some libraries return for "nothing found": misclassified or not, nobody searched for it.
    """
    points = found.points.detach().to(x)
    if points.shape != x.shape:
        return torch.full((len(x),), torch.nan, dtype=torch.float64), {"wrong shape": len(x)}
    finite = _every(points.isfinite())
    excess = torch.maximum(-points, points - 1).flatten(1).amax(1)
    inside = finite & (excess <= SPILL)
    black = finite & ~_every(points != 0, some=True) & _every(x != 0, some=True)
    points = torch.where(_like(inside, x), points.clamp(0, 1), x)
    if norm == "l0":
        points = torch.where((points - x).abs() <= ROUNDING, x, points)
    wrong = torch.cat([net(part).argmax(1) for part in points.split(256)]) != y
    success = inside & ~black & wrong
    remarks = {
        "not finite": ~finite,
        "out of bounds": finite & ~inside,
        "clipped": inside & (excess > ROUNDING),
        "black": black,
    }
    if found.claimed is not None:
        remarks["claimed in vain"] = found.claimed.to(success) & ~success
    counts = {remark: int(rows.sum()) for remark, rows in remarks.items() if bool(rows.any())}
    return torch.where(success, norms(points.double() - x.double(), norm), torch.nan), counts


def _every(values: Tensor, some: bool = False) -> Tensor:
    flat = values.flatten(1)
    return flat.any(1) if some else flat.all(1)


def _like(rows: Tensor, x: Tensor) -> Tensor:
    return rows.view(-1, *(1,) * (x.ndim - 1))


def keep_smallest(net: nn.Module, x: Tensor, y: Tensor, candidates: list[Tensor], norm: str) -> Found:
    """For attacks that need a target: of the points that they found for each, the nearest that is misclassified."""
    best, least = x.clone(), torch.full((len(x),), torch.inf, dtype=torch.float64)
    with torch.no_grad():
        for points in candidates:
            distance = norms(points.double() - x.double(), norm)
            better = (net(points).argmax(1) != y) & (distance < least)
            best = torch.where(_like(better, x), points, best)
            least = torch.where(better, distance, least)
    return Found(best)


def settings(arguments: dict[str, Any]) -> str:
    """Constructor arguments as a column of the table; rounds of a search as ``9 x 55``."""
    shown = {name: value for name, value in arguments.items() if name not in HIDDEN}
    rounds = next((shown.pop(name) for name in ROUNDS if name in shown), None)
    words = [_word(name, value, rounds) for name, value in shown.items()]
    return ", ".join(words) or "defaults"


def _word(name: str, value: Any, rounds: int | None) -> str:
    return f"{name}={value}" if rounds is None or name not in STEPS else f"{rounds} x {value}"
