"""Print one table: minimum-norm attacks of every library on one trained network, with equal numbers of gradients.

python benchmarks/minimum_norm.py --model mnist-linf --norm l1 [--limit 100] [--steps 500] [--budget N] [--json FILE]
"""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path

import click
import torch
from minimum_norm_cases import MODELS, case
from minimum_norm_judge import Contestant, measure
from minimum_norm_ours import advplug
from minimum_norm_peers import PEERS
from minimum_norm_report import rows, table
from rich.console import Console

from advplug.errors import UnknownPlugin
from advplug.plugins.manager import default_manager

COLUMNS = """All attacks see the same images and network; its parameters are frozen. mean, median: distance over the \
successes. > d: robust accuracy in % at distance d, over all images. forwards, gradients: mean per attacked \
image, counted at the network. seconds: time for all images. optimality: local optimality as in AttackBench, \
compared with the smallest distance of these rows for each image. remarks: number of returned arrays that were \
clipped to [0, 1] because they lay less than .001 outside, that do not count (not finite, further out of bounds, \
all black), or that the attack calls a success although they are none."""


@click.command()
@click.option("--model", type=click.Choice(list(MODELS)), required=True, help="Preset of a defense.")
@click.option("--norm", type=click.Choice(["linf", "l2", "l1", "l0"]), required=True)
@click.option("--limit", default=100, show_default=True, help="Images, including misclassified ones.")
@click.option("--skip", default=0, show_default=True, help="Images to skip, such as those used for tuning.")
@click.option("--steps", default=500, show_default=True, help="Gradients for each image.")
@click.option("--budget", type=int, help="Most forwards of each image, and most backwards.")
@click.option("--threads", default=1, show_default=True)
@click.option("--only", default="", help="Parts of the names of libraries or attacks, separated by commas.")
@click.option("--without", default="", help="The same of those to leave out.")
@click.option("--slow", is_flag=True, help="Include the slow attacks: ART's Carlini-Wagner, Brendel-Bethge, JSMA.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows to this file.")
def main(
    *,
    model: str,
    norm: str,
    limit: int,
    skip: int,
    steps: int,
    budget: int | None,
    threads: int,
    only: str,
    without: str,
    slow: bool,
    file: Path | None,
) -> None:
    """Print the table."""
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")
    subject = case(model, limit, skip)
    entrants = [one for one in chosen(norm, steps, only) if not any(_named(one, part) for part in _parts(without))]
    left_out = [] if slow else [one.name for one in entrants if one.slow]
    outcomes = []
    for contestant in entrants:
        if slow or not contestant.slow:
            outcomes.append(measure(contestant, subject.net, subject.x, subject.y, norm, budget=budget))
            click.echo(f"{contestant.name} ({contestant.settings}): {outcomes[-1].seconds:.1f} s", err=True)
    if not outcomes:
        raise click.ClickException("nothing to run: widen --only, or add --slow")
    found = rows(outcomes, subject.total, subject.thresholds[norm])
    title = f"{model}, {norm}: {len(subject.x)} of {subject.total} attacked, {steps} gradients, {threads} threads"
    caption = COLUMNS + (f" Not run without --slow: {', '.join(left_out)}." if left_out else "")
    Console(width=200).print(table(found, subject.thresholds[norm], title, caption))
    if file is not None:
        answer = {
            "model": model,
            "norm": norm,
            "steps": steps,
            "budget": budget,
            "skip": skip,
            "total": subject.total,
            "attacked": len(subject.x),
        }
        thresholds = list(subject.thresholds[norm])
        document = {**answer, "thresholds": thresholds, "left_out": left_out, "rows": [row.as_json() for row in found]}
        file.write_text(json.dumps(document, indent=1, allow_nan=False))


def chosen(norm: str, steps: int, only: str = "", *, quiet: bool = False) -> list[Contestant]:
    """The contestants whose library is installed. Missing ones are named on standard error, unless ``quiet``."""
    entrants, absent = [], []
    for one in advplug(norm, steps):
        try:
            default_manager().find(f"attack:{one.attack}")
            entrants.append(one)
        except UnknownPlugin:
            absent.append(one.name)
    for module, peers in PEERS.items():
        if find_spec(module) is None:
            absent.append(module)
        else:
            entrants += peers(norm, steps)
    if absent and not quiet:
        click.echo(f"not installed: {', '.join(dict.fromkeys(absent))}", err=True)
    wanted = _parts(only)
    return [one for one in entrants if not wanted or any(_named(one, part) for part in wanted)]


def _parts(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


def _named(contestant: Contestant, part: str) -> bool:
    return part in contestant.name.lower()


if __name__ == "__main__":
    main()
