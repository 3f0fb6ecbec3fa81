"""The tables of several runs of ``minimum_norm.py --json`` as one Markdown page.

python benchmarks/minimum_norm_summary.py mnist-linf.json mnist-l2.json ... > benchmarks/minimum_norm.md
"""

from __future__ import annotations

import json
import math
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from advplug.evaluation.optimality import local_optimality

NORMS = ("linf", "l2", "l1", "l0")
MODELS = (
    "mnist",
    "mnist-linf",
    "mnist-l2",
    "mnist-smooth",
    "cifar10",
    "cifar10-linf",
    "cifar10-l2",
    "cifar10-resnet",
)
HEAD = """# Comparison of minimum-norm attacks

`python benchmarks/minimum_norm_runs.py FOLDER` makes the runs, and `python benchmarks/minimum_norm_summary.py
FOLDER/*.json` writes this page from them. Each table is one run in one process:

    python benchmarks/minimum_norm.py --model MODEL --norm NORM --skip SKIP --limit LIMIT --steps 1000 --budget 1000

The rows of `fmn` under l1 are from later runs of it alone, with `--only "advplug fmn"`, on a busier machine.

**Budget.** It is that of AttackBench: 1,000 forward and 1,000 backward passes for each image. A model counts them, and
keeps the nearest misclassified point of each image that it is asked within the budget. Attacks that would go on are
stopped, and what they return counts only for images for which they asked no more.

**Settings.** Our defaults were chosen on other images: SKIP is 400 for digits and 100 for pictures. The other libraries
run at their defaults except for the settings in the table. Searches over a weight have 9 rounds. Contestants that added
nothing on `mnist` run on few other networks or none: `minimum_norm_runs.py` names them, and says why.

**Networks.** The presets of
[advplug-defense-adversarial-training](../plugins/defenses/advplug-defense-adversarial-training), and two of
`minimum_norm_nets.py`, both with single-step adversarial training: `mnist-smooth`, with SiLU, under L2 with budget 2
(97.9 % of 1,000 digits without an attack), and `cifar10-resnet`, a small residual network on 10,000 pictures, under
Linf with budget 4/255 (56.1 % of 1,000 pictures).

The success flags of the attacks are ignored; each point is classified again. The first table under each norm gives
mean distances, in brackets the success rate if it is below 100 %, and in bold the smallest mean among the attacks that
succeed on all images. The second gives local optimality for each network, and global optimality: its mean over the
networks, as in AttackBench. The third gives it for pairs of our attacks, of which the nearer point of each image
counts: the five best pairs. The columns of the other tables are:

- `success %`: share of the attacked images on which the attack succeeds. Only images that the network classifies
  correctly are attacked.
- `mean`, `median`: distance over the successes. Compare them only between attacks that succeed on all images.
- `> d`: robust accuracy in % at distance d, over all images.
- `forwards`, `gradients`: mean per attacked image, counted at the network.
- `seconds`: time for all images.
- `optimality`: local optimality as in AttackBench. It is 1 for an attack that finds the smallest distance of all rows
  of the table on every image.
- `remarks`: number of returned arrays that were clipped to [0, 1] because they lay less than 0.001 outside, that do not
  count (not finite, further out of bounds, or all black), or that the attack calls a success although they are none; or
  the error that the attack raised."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(*, files: tuple[Path, ...]) -> None:
    """Print the page."""
    runs = [json.loads(file.read_text()) for file in files]
    runs.sort(key=lambda run: (NORMS.index(run["norm"]), MODELS.index(run["model"])))
    click.echo(HEAD)
    for norm, group in groupby(runs, key=lambda run: run["norm"]):
        several = list(group)
        click.echo(f"\n## {norm}\n\n{_overview(several)}\n\n{_optimality(several)}\n\n{_pairs(several)}")
        for run in several:
            click.echo(
                f"\n### {run['model']}, {norm}: {run['attacked']} of {run['total']} images attacked\n\n{_table(run)}"
            )
            if run["left_out"]:
                click.echo(f"\nNot run without `--slow`: {', '.join(run['left_out'])}.")


Name = tuple[str, str, str]
Found = list[dict[Name, dict[str, Any]]]


def _named(runs: list[dict[str, Any]]) -> tuple[list[Name], Found]:
    """All attacks of several runs, by library, name and settings, and the rows of each run."""
    found = [{(row["library"], row["attack"], row["settings"]): row for row in run["rows"]} for run in runs]
    return list(dict.fromkeys(name for rows in found for name in rows)), found


def _overview(runs: list[dict[str, Any]]) -> str:
    """Mean distances; in brackets the success rate if it is below 100 %; in bold the best that always succeeds."""
    names, found = _named(runs)
    best = [min(row["mean"] for row in rows.values() if row["success"] == 1) for rows in found]
    lines = _heads(runs)
    for name in names:
        cells = [_mean(rows.get(name), least) for rows, least in zip(found, best, strict=True)]
        lines.append([name[0], f"{name[1]} ({name[2]})", *cells])
    return _markdown(lines)


def _optimality(runs: list[dict[str, Any]]) -> str:
    """Local optimality for each network, and global: the mean. An attack that raises an error has none."""
    names, found = _named(runs)
    lines = _heads(runs, "global")
    for name in names:
        local = [rows[name]["optimality"] for rows in found if name in rows]
        if None not in local and len(local) == len(runs):
            mean = sum(local) / len(local)
            lines.append([name[0], f"{name[1]} ({name[2]})", *(f"{value:.3f}" for value in [*local, mean])])
    return _markdown(lines)


def _pairs(runs: list[dict[str, Any]], most: int = 5) -> str:
    """Local and global optimality of the best pairs of ours, of which the nearer point of each image counts."""
    found = [{row["attack"]: _distances(row) for row in run["rows"] if row["library"] == "advplug"} for run in runs]
    best = [torch.stack([_distances(row) for row in run["rows"]]).amin(0) for run in runs]
    lines = []
    for pair in combinations(found[0], 2):
        together = [torch.minimum(*(rows[name] for name in pair)) for rows in found]
        local = [
            local_optimality(_with_wrong(run, one), _with_wrong(run, least))
            for run, one, least in zip(runs, together, best, strict=True)
        ]
        lines.append((sum(local) / len(local), [" + ".join(pair), *(f"{value:.3f}" for value in local)]))
    lines.sort(key=lambda line: -line[0])
    columns = [*(run["model"] for run in runs), "global"]
    heads = [["pair", *columns], ["---", *("---:" for _ in columns)]]
    return _markdown(heads + [[*cells, f"{mean:.3f}"] for mean, cells in lines[:most]])


def _distances(row: dict[str, Any]) -> Tensor:
    """Float64 (N,), inf where it found nothing."""
    return torch.tensor([math.inf if value is None else value for value in row["distances"]], dtype=torch.float64)


def _with_wrong(run: dict[str, Any], distances: Tensor) -> Tensor:
    """The same with a zero for each image that is wrong without an attack."""
    return torch.cat((distances, distances.new_zeros(run["total"] - run["attacked"])))


def _heads(runs: list[dict[str, Any]], *more: str) -> list[list[str]]:
    columns = [*(run["model"] for run in runs), *more]
    return [["library", "attack", *columns], ["---", "---", *("---:" for _ in columns)]]


def _mean(row: dict[str, Any] | None, best: float) -> str:
    if row is None or row["mean"] is None:
        return ""
    text = f"{row['mean']:.4g}"
    if row["success"] < 1:
        return f"{text} ({100 * row['success']:.0f} %)"
    return f"**{text}**" if row["mean"] == best else text


def _table(run: dict[str, Any]) -> str:
    heads = ["library", "attack", "settings", "success %", "mean", "median"]
    heads += [f"> {threshold:.4g}" for threshold in run["thresholds"]]
    heads += ["forwards", "gradients", "seconds", "optimality", "remarks"]
    lines = [heads, ["---"] * 3 + ["---:"] * (len(heads) - 4) + ["---"]]
    for row in run["rows"]:
        remarks = [f"{number} {name}" for name, number in row["remarks"].items()]
        remarks += [row["error"]] if row["error"] else []
        figures = [f"{100 * row['success']:.0f}", _number(row["mean"]), _number(row["median"])]
        figures += [f"{100 * share:.0f}" for share in row["robust"]]
        figures += [f"{row['forwards']:.0f}", f"{row['gradients']:.0f}", f"{row['seconds']:.1f}"]
        figures.append("" if row["optimality"] is None else f"{row['optimality']:.3f}")
        lines.append([row["library"], row["attack"], row["settings"], *figures, "; ".join(remarks)])
    return _markdown(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
