"""``advplug report RUN``."""

from __future__ import annotations

from pathlib import Path

import click

from advplug.cli import _console
from advplug.cli._paths import UserPath
from advplug.errors import InvalidInput
from advplug.plugins.manager import default_manager


@click.command("report")
@click.argument("directory", metavar="RUN", type=UserPath())
@click.option("--format", "form", type=click.Choice(("html", "json", "md")), default="html", show_default=True,
              help="html writes RUN/report.html and prints its path; json and md print.")  # fmt: skip
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@_console.json_option
def command(directory: Path, form: str, show: bool, as_json: bool) -> None:
    """Report on the finished evaluation in the run directory RUN."""
    from advplug.evaluation.run_directory import RunDirectory

    evaluation = RunDirectory(directory).load()
    if as_json or form == "json":
        _console.print_json(evaluation.to_json())
    elif form == "md":
        from advplug.report.markdown import markdown

        click.echo(markdown(evaluation))
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
