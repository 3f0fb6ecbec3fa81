"""Whether Square may give up samples whose margin falls slowly: what that would have lost, on many networks.

python benchmarks/patience.py [--only GROUP] [--limit 60] [--skip 30] [--seed 1] [--out FILE]

Square runs with all its queries on what APGD leaves. From the loss after each step follows whom a given patience would
have given up, and how many of these fell later. Every second network sets the patience, the others judge it.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from autoattack import shipped
from search import MODELS, arguments_of

from advplug import Images, ThreatModel, load
from advplug.attack import Options
from advplug.engine.problem import make_problem
from advplug.engine.stages import run_cascade
from advplug.errors import AdvplugError
from advplug.families.random_search import FOLD, LOOKS

QUERIES, PROPOSALS, STEPS = 5000, 8, 30
PATIENCE = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)

DATA = {"shipped": "mnist", "pictures": "cifar10"}
"""By group of shipped networks what they classify; the third group is that of the strange ones."""

Measure = Callable[[Any, Images, ThreatModel], list[dict[str, Any]]]
"""What is written of each sample of a network."""


@click.command()
@click.option("--only", type=click.Choice(["shipped", "strange"]), help="One group of networks.")
@click.option("--limit", default=60, show_default=True, help="Digits of each network.")
@click.option("--skip", default=30, show_default=True, help="Leave out the first digits.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write each network there, and go on there."
)
def main(*, only: str | None, limit: int, skip: int, seed: int, out: Path | None) -> None:
    """Measure, and print one table."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    measure = lambda model, images, threat: _samples(model, images, threat, seed)  # noqa: E731
    _print(recorded(out, (only,) if only else ("shipped", "strange"), slice(skip, skip + limit), measure))


def recorded(out: Path | None, groups: Sequence[str], part: slice, measure: Measure) -> list[dict[str, Any]]:
    """What ``out`` holds, and what ``measure`` finds on ``part`` of the images of each network that is not there."""
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out is not None and out.exists() else []
    done = {line["name"] for line in lines}
    for name, model, images, threat in _cases(groups, part.stop, done):
        new = Images(images.inputs[part], images.labels[part])
        lines.append({"name": name, "samples": measure(model, new, threat)})
        if out is not None:
            with out.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    return lines


def _cases(groups: Sequence[str], count: int, done: set[str]) -> Iterator[tuple[str, Any, Images, ThreatModel]]:
    for group, data in DATA.items():
        for name in shipped(data) if group in groups else ():
            if name not in done:
                defense, _, preset = name.partition(":")
                plugin = load(f"defense:{defense}")()
                configuration = plugin.preset(preset)
                images = load(f"data:{data}")().load(configuration.test_split, count)
                yield name, plugin.build(preset).eval(), images, configuration.threat
    for name, case in MODELS.items() if "strange" in groups else ():
        if name not in done:
            yield name, *arguments_of(case, count)


def _samples(model: Any, digits: Images, threat: ThreatModel, seed: int) -> list[dict[str, Any]]:
    """Of each survivor of APGD its best margins at the looks and a fifth of them, and the query at which it fell."""
    problem = make_problem(model, digits.inputs, digits.labels, threat, options=Options(seed=seed))
    if problem.model.stochastic:
        return []  # it has no Square in the suite
    square = load("attack:square")(queries=QUERIES, proposals=PROPOSALS)
    try:
        apgd, found = run_cascade([(load("attack:apgd")(steps=STEPS), problem), (square, problem)])
    except AdvplugError:  # no gradient: Square meets all samples
        (found,) = run_cascade([(square, problem)])
        left = found.correct
    else:
        left = apgd.correct & ~apgd.success
    best = found.trace.nan_to_num(nan=math.inf).cummin(0).values
    rows = []
    for number in left.nonzero().squeeze(1).tolist():
        margins = [(_at(best, look // FOLD, number), _at(best, look, number)) for look in LOOKS]
        fell = int(found.forwards[number]) if bool(found.success[number]) else None
        rows.append({"margins": margins, "fell": fell})
    return rows


def _at(best: torch.Tensor, queries: int, number: int) -> float:
    step = -(-(queries - 1) // PROPOSALS)
    return float(best[min(step, len(best) - 1), number])


def given_up(sample: dict[str, Any], patience: float) -> int | None:
    """The look at which it would have been given up; None for never."""
    for look, (earlier, now) in zip(LOOKS, sample["margins"], strict=True):
        if sample["fell"] is not None and sample["fell"] <= look:
            return None
        if earlier > now > patience * (earlier - now):
            return look
    return None


def _print(lines: list[dict[str, Any]]) -> None:
    print("| networks | patience | survivors of APGD | fell to Square | after 1000 queries | given up | of these fell |"
          " queries |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for half, part in (("even", lines[::2]), ("odd", lines[1::2]), ("all", lines)):
        samples = [sample for line in part for sample in line["samples"]]
        fell = [sample for sample in samples if sample["fell"] is not None]
        late = [sample for sample in fell if sample["fell"] > LOOKS[0]]
        for patience in PATIENCE:
            looks = [given_up(sample, patience) for sample in samples]
            pairs = list(zip(looks, samples, strict=True))
            lost = sum(look is not None and sample["fell"] is not None for look, sample in pairs)
            all_queries = sum(sample["fell"] or QUERIES for sample in samples)
            spent = sum(look or sample["fell"] or QUERIES for look, sample in pairs)
            cells = (len(samples), len(fell), len(late), sum(look is not None for look in looks), lost)
            share = f"{spent / max(all_queries, 1):.0%}"
            print(f"| {len(part)}, {half} | {patience:g} | {' | '.join(map(str, cells))} | {share} |")


if __name__ == "__main__":
    main()
