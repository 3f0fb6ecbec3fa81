"""``advplug report RUN``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from advplug.cli import _console
from advplug.cli._paths import UserPath
from advplug.errors import InvalidInput
from advplug.plugins.manager import default_manager
from advplug.records.search_file import holds_search, read_search

if TYPE_CHECKING:
    from advplug.records.evaluation import Evaluation

_PRINTED = ("md", "json", "csv", "samples-csv", "card")
SEARCH_FORMS = ("html", "md", "json")


@click.command("report")
@click.argument("directory", metavar="RUN", type=UserPath())
@click.option("--format", "form", type=click.Choice(("html", *_PRINTED)), default="html", show_default=True,
              help="html writes RUN/report.html and prints its path. The others print: md and json everything, csv a "
              "line for each attack, samples-csv for each sample and attack, card a leaderboard's entry. Of a search "
              "html (RUN/search.html and search.md), md and json.")  # fmt: skip
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@_console.json_option
def command(directory: Path, form: str, show: bool, as_json: bool) -> None:
    """Report on the finished evaluation, or the finished search, in the run directory RUN."""
    if holds_search(directory):
        _report_search(directory, "json" if as_json else form, show)
        return
    from advplug.evaluation.storage.run_directory import RunDirectory

    evaluation = RunDirectory(directory).load()
    if as_json or form == "json":
        _console.print_json(evaluation.to_json())
    elif form != "html":
        click.echo(_text(evaluation, form), nl=not form.endswith("csv"))
    if show or (form == "html" and not as_json):
        from advplug.report import write_report

        with _writing(directory / "report.html"):
            path = write_report(evaluation)
        _console.warn_of_hooks(default_manager().failures)
        _name_page(path, printed=as_json or form != "html", show=show)


def _report_search(directory: Path, form: str, show: bool) -> None:
    """The same of a search, which has no rows for the other forms."""
    from advplug.report.search_page import PAGE, search_markdown, write_search_report

    if form not in SEARCH_FORMS:
        raise InvalidInput(f"--format {form}: {directory} is a search: choose one of {', '.join(SEARCH_FORMS)}")
    search = read_search(directory)
    if form == "json":
        _console.print_json(search.to_json())
    elif form == "md":
        click.echo(search_markdown(search))
    if show or form == "html":
        with _writing(directory / PAGE):
            path = write_search_report(search, directory)
        _name_page(path, printed=form != "html", show=show)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say which page it was that could not be written."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}") from error


def _name_page(path: Path, *, printed: bool, show: bool) -> None:
    """Print where the page is, on stderr where stdout has been ``printed`` to, and open it."""
    click.echo(path, err=printed)
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
