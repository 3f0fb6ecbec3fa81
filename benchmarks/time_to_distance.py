"""Time and gradients that each library's minimum-norm attack needs to reach a given median distance, beside ours.

python benchmarks/time_to_distance.py --model mnist --norm l2 [--limit 100] [--budgets 10,20,50,100,200,500]
"""

from __future__ import annotations

import json
import math
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from minimum_norm import chosen
from minimum_norm_cases import MODELS, Case, case
from minimum_norm_judge import Contestant, Outcome, measure
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Attempt:
    """One contestant at one budget; ``median``, the lower of two, counts failures as infinitely far."""

    outcome: Outcome
    median: float


@dataclass(frozen=True)
class Arrival:
    """The first attempt of a contestant that came near enough; None if none did. ``best`` is its smallest median."""

    library: str
    attack: str
    best: float
    settings: str | None = None
    gradients: float | None = None
    seconds: float | None = None
    error: str | None = None


@click.command()
@click.option("--model", type=click.Choice(list(MODELS)), required=True, help="Preset of a defense.")
@click.option("--norm", type=click.Choice(["linf", "l2", "l1", "l0"]), required=True)
@click.option("--limit", default=100, show_default=True, help="Images, wrong ones included.")
@click.option("--budgets", default="10,20,50,100,200,500", show_default=True, help="Gradients for each image.")
@click.option("--distance", type=float, help="Median to reach; without it FACTOR times the best of all.")
@click.option("--factor", default=1.05, show_default=True)
@click.option("--repeats", default=3, show_default=True, help="Runs that count; their median processor time.")
@click.option("--threads", default=1, show_default=True)
@click.option("--only", default="", help="Libraries or attacks, parts of their names, separated by commas.")
@click.option("--slow", is_flag=True, help="Include the slow ones.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows there, too.")
def main(
    *,
    model: str,
    norm: str,
    limit: int,
    budgets: str,
    distance: float | None,
    factor: float,
    repeats: int,
    threads: int,
    only: str,
    slow: bool,
    file: Path | None,
) -> None:
    """Print the table."""
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")
    subject = case(model, limit)
    attempts = [
        _attempts(ladder, subject, norm)
        for ladder in _ladders(norm, [int(budget) for budget in budgets.split(",")], only)
        if slow or not ladder[0].slow
    ]
    best = min((attempt.median for tries in attempts for attempt in tries), default=math.inf)
    goal = factor * best if distance is None else distance
    if not math.isfinite(goal):
        raise click.ClickException("nobody broke half of the images: give larger --budgets")
    arrivals = _arrivals(attempts, goal, subject, norm, repeats)
    title = f"{model}, {norm}, {len(subject.x)} images, {threads} threads: to a median of {goal:.4g}"
    Console(width=150).print(_table(arrivals, f"{title} (best {best:.4g})"))
    if file is not None:
        rows = [vars(one) | {"best": _finite(one.best)} for one in arrivals]
        file.write_text(json.dumps({"model": model, "norm": norm, "goal": goal, "rows": rows}, allow_nan=False))


def _ladders(norm: str, budgets: list[int], only: str) -> list[list[Contestant]]:
    """Each contestant at growing budgets; once, if it has none to set."""
    rungs = [chosen(norm, budget, only, quiet=budget != budgets[0]) for budget in budgets]
    return [list({one.settings: one for one in same}.values()) for same in zip(*rungs, strict=True)]


def _attempts(ladder: list[Contestant], subject: Case, norm: str) -> list[Attempt]:
    attempts = []
    for contestant in ladder:
        outcome = measure(contestant, subject.net, subject.x, subject.y, norm, clock=time.process_time)
        median = float(outcome.distances.nan_to_num(nan=math.inf).median())
        attempts.append(Attempt(outcome, median))
        click.echo(f"{contestant.name} ({contestant.settings}): {median:.4g} in {outcome.seconds:.1f} s", err=True)
    return attempts


def _arrivals(attempts: list[list[Attempt]], goal: float, subject: Case, norm: str, repeats: int) -> list[Arrival]:
    """What each needs; repeated in turns, so that a slow moment of the machine hits all alike."""
    firsts = [next((one.outcome for one in tries if one.median <= goal), None) for tries in attempts]
    seconds = [[] if first is None else [first.seconds] for first in firsts]
    for _ in range(repeats - 1):
        for first, times in zip(firsts, seconds, strict=True):
            if first is not None:
                again = measure(first.contestant, subject.net, subject.x, subject.y, norm, clock=time.process_time)
                times.append(again.seconds)
    return [_arrival(*row) for row in zip(attempts, firsts, seconds, strict=True)]


def _arrival(tries: list[Attempt], first: Outcome | None, seconds: list[float]) -> Arrival:
    contestant, best = tries[0].outcome.contestant, min(attempt.median for attempt in tries)
    if first is None:
        return Arrival(contestant.library, contestant.attack, best, error=tries[-1].outcome.error)
    settings, time_needed = first.contestant.settings, statistics.median(seconds)
    return Arrival(contestant.library, contestant.attack, best, settings, first.backwards, time_needed)


def _table(arrivals: list[Arrival], title: str) -> Table:
    """Times as ratios to our fastest."""
    ours = [one.seconds for one in arrivals if one.library == "advplug" and one.seconds is not None]
    unit = min(ours, default=math.nan)
    table = Table(
        *("library", "attack", "best median", "first settings that reach it", "gradients", "seconds", "x our fastest"),
        title=title,
        title_justify="left",
    )
    for one in sorted(arrivals, key=lambda one: math.inf if one.seconds is None else one.seconds):
        median = f"{one.best:.4g}"
        if one.seconds is None or one.gradients is None:
            reason = f"raises {one.error}" if one.error else "not reached"
            table.add_row(one.library, one.attack, median, reason, "-", "-", "-")
        else:
            ratio = "-" if math.isnan(unit) else f"{one.seconds / unit:.2f}"
            cells = (one.settings, f"{one.gradients:.0f}", f"{one.seconds:.2f}", ratio)
            table.add_row(one.library, one.attack, median, *cells)
    return table


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
