"""All runs of minimum_norm.py behind minimum_norm.md, one after the other; those whose file is there are left out.

python benchmarks/minimum_norm_runs.py FOLDER   then minimum_norm_summary.py FOLDER/*.json > minimum_norm.md
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
from minimum_norm_summary import MODELS, NORMS

BUDGET = 1000
IMAGES = {"mnist": ("--skip", "400", "--limit", "20"), "cifar10": ("--skip", "100", "--limit", "10")}
"""By data: the images before them served for tuning."""

WITHOUT = (
    "foolbox DDN, foolbox L2FMN, foolbox L2Carlini, torchattacks FAB, torchattacks CW, torchattacks DeepFool, "
    "ART DeepFool, adv-lib ddn, adv-lib fmn, adv-lib carlini_wagner"
)
"""All contestants run on `mnist`. These do not run on the other networks: on `mnist` they were as far as another
library's implementation of the same attack, failed on a quarter of the digits or more, or were half as far again."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(*, folder: Path) -> None:
    """Write a file for each network and norm."""
    folder.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        for norm in NORMS:
            file = folder / f"{model}-{norm}.json"
            if not file.exists():
                options = ("--steps", str(BUDGET), "--budget", str(BUDGET), *IMAGES[model.partition("-")[0]])
                options += () if model == "mnist" else ("--without", WITHOUT)
                script = str(Path(__file__).with_name("minimum_norm.py"))
                command = (sys.executable, script, "--model", model, "--norm", norm, *options, "--json", str(file))
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                click.echo(file)


if __name__ == "__main__":
    main()
