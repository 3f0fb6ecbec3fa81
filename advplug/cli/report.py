"""``advplug report RUN``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from advplug.cli import _console
from advplug.cli._paths import UserPath
from advplug.errors import InvalidInput
from advplug.plugins.manager import default_manager

if TYPE_CHECKING:
    from advplug.records.evaluation import Evaluation

_PRINTED = ("md", "json", "csv", "samples-csv", "card")


@click.command("report")
@click.argument("directory", metavar="RUN", type=UserPath())
@click.option("--format", "form", type=click.Choice(("html", *_PRINTED)), default="html", show_default=True,
              help="html writes RUN/report.html and prints its path. The others print: md and json everything, csv a "
              "line for each attack, samples-csv for each sample and attack, card a leaderboard's entry.")  # fmt: skip
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@_console.json_option
def command(directory: Path, form: str, show: bool, as_json: bool) -> None:
    """Report on the finished evaluation in the run directory RUN."""
    from advplug.evaluation.storage.run_directory import RunDirectory

    evaluation = RunDirectory(directory).load()
    if as_json or form == "json":
        _console.print_json(evaluation.to_json())
    elif form != "html":
        click.echo(_text(evaluation, form), nl=not form.endswith("csv"))
    if show or (form == "html" and not as_json):
        from advplug.report import write_report

        try:
            path = write_report(evaluation)
        except OSError as error:
            raise InvalidInput(f"{directory / 'report.html'} cannot be written: {error.strerror or error}") from error
        _console.warn_of_hooks(default_manager().failures)
        click.echo(path, err=as_json or form != "html")
        if show:
            click.launch(str(path.resolve()))


def _text(evaluation: Evaluation, form: str) -> str:
    """What ``--format`` prints, but for the JSON document."""
    from advplug.report.card import card
    from advplug.report.csv_tables import attacks_csv, samples_csv
    from advplug.report.markdown import whole_report

    if form == "card":
        return json.dumps(card(evaluation), indent=2)
    return {"md": whole_report, "csv": attacks_csv, "samples-csv": samples_csv}[form](evaluation)
