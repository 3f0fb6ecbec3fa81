"""Four losses over 250 targeted steps without a budget, as Ozbulak et al. compare them: a table for each protocol.

python benchmarks/loss_study.py imagenet|cifar10|mnist [--rounds 1] [--factor 1] [--save FOLDER] [--json FILE]

One round gives every image one random target. What is in FOLDER is not computed again; loss_figures.py draws it.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch
from loss_study_report import Report, print_report
from loss_study_runs import PROTOCOLS, Case, Record, case_of, record, timed


@click.command()
@click.argument("model", type=click.Choice(["imagenet", "cifar10", "mnist"]))
@click.option("--limit", default=200, show_default=True, help="Images at most; of ImageNet there are 20.")
@click.option("--rounds", default=1, show_default=True, help="Random targets for each image.")
@click.option("--traced", default=200, show_default=True, help="Images of the first round that make all 250 steps.")
@click.option("--factor", default=1.0, show_default=True, help="Steps of equal perturbation so many times as long.")
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Keep the records of each round here.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def main(
    *, model: str, limit: int, rounds: int, traced: int, factor: float, save: Path | None, json_file: Path | None
) -> None:
    """Run what is not recorded yet, and print the tables."""
    torch.set_num_threads(1)
    case = case_of(model, limit, factor)
    records = [kept_round(case, number, save, traced=0 if number else traced) for number in range(rounds)]
    seconds = {protocol: timed(case, protocol) for protocol in PROTOCOLS}
    report = Report.of(records, seconds, values=case.x[0].numel(), beta=case.beta)
    print_report(report, f"{case.name}, beta = {case.beta * case.x[0].numel():.3g}")
    if json_file is not None:
        json_file.write_text(json.dumps(report.plain(), indent=1), encoding="utf-8")


def kept_round(case: Case, number: int, folder: Path | None, *, traced: int) -> dict[str, dict[str, Record]]:
    """The records of round ``number`` by protocol and loss, from their files in ``folder`` where it has them."""
    records: dict[str, dict[str, Record]] = {}
    for protocol, losses in PROTOCOLS.items():
        for name in losses:
            file = None if folder is None else folder / f"{case.name}-{number}-{protocol}-{name}.pt"
            if file is not None and file.exists():
                done = Record(**torch.load(file))
            else:
                done = record(case, protocol, name, number, traced=traced)
                if file is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    torch.save(done._asdict(), file)
            records.setdefault(protocol, {})[name] = done
    return records


if __name__ == "__main__":
    main()
