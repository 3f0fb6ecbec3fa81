"""The ``advplug`` command line.

Exit codes: 0 ok; 1 a claim or check failed, or a result could not be written; 2 usage or invalid input; 3 internal
error; 4 a plugin, its weights or its data are missing or broken; 130 interrupted. A command that finds a claim or check
failed calls ``ctx.exit(1)``.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

import click

from advplug import __version__
from advplug.cli import _console, _unknown
from advplug.cli._group import LazyGroup
from advplug.errors import (
    COMPUTING,
    AdvplugError,
    BrokenPlugin,
    CorruptWeights,
    DataUnavailable,
    InvalidSpec,
    MissingWeights,
    NonFiniteLogits,
    UnknownPlugin,
)

COMMANDS = {
    "break": ("advplug.cli.break_:command", "Run a case study: the weak evaluation beside the adaptive attack."),
    "check": ("advplug.cli.check:command", "Check that plugins keep the contract of their kind."),
    "compare": ("advplug.cli.compare:command", "Compare finished runs: which samples fell where, and what differs."),
    "doctor": ("advplug.cli.doctor:command", "Show every plugin that does not load, and why."),
    "evaluate": ("advplug.cli.evaluate:command", "Evaluate a defended model against attacks."),
    "list": ("advplug.cli.list_:command", "List the installed plugins."),
    "merge": ("advplug.cli.merge:command", "Put the shares of a run, from --shard, together."),
    "new": ("advplug.cli.new:command", "Write a new plugin: a working example to change, with its tests."),
    "report": ("advplug.cli.report:command", "Write the HTML page of a finished run."),
    "search": ("advplug.cli.search:command", "Search for the attack, loss and gradient that break a defended model."),
    "show": ("advplug.cli.show:command", "Show one plugin: origin, parameters, presets, pairs."),
    "train": ("advplug.cli.train:command", "Train the weights of a defense preset."),
}
"""Name -> (where the command is, its line in the help). Imported only when called: ``list`` must not pay for torch."""

INTERNAL = 3
EXIT_CODES: dict[type[AdvplugError], int] = {
    UnknownPlugin: 4,
    BrokenPlugin: 4,
    InvalidSpec: 4,
    MissingWeights: 4,
    CorruptWeights: 4,
    DataUnavailable: 4,
    NonFiniteLogits: 1,
}
"""Every other AdvplugError is bad input, 2."""


@click.group(cls=LazyGroup, commands_table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Adversarial-robustness evaluation from plugins."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with one of the documented exit codes."""
    code = run(arguments)
    _let_go_of_stdout()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors become one line on stderr."""
    _fill_closed_streams()
    try:
        # With standalone_mode off click returns the code of ctx.exit() instead of ending the process.
        given = list(sys.argv[1:] if arguments is None else arguments)
        code = cli.main(given, prog_name="advplug", standalone_mode=False, obj=_console.Typed(("advplug", *given)))
        _flush(sys.stdout)  # a full disk shows here, and not when the interpreter is gone
        return code if isinstance(code, int) else 0
    except BrokenPipeError:  # nobody reads any more
        return 1
    except click.NoSuchOption as error:
        click.UsageError(_unknown.message(error), error.ctx).show()
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code:
            raise  # it says itself that it failed; click leaves so where nobody reads stdout any more
        message, code = explain(error)
        if code == INTERNAL or (isinstance(error, BrokenPlugin) and os.environ.get("ADVPLUG_STRICT") == "1"):
            traceback.print_exc()
        click.secho(f"Error: {message}", fg="red", err=True)
        return code


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        stream.flush()


def _let_go_of_stdout() -> None:
    """Let what could not be printed go nowhere: the interpreter would try again, and leave with a code of its own."""
    try:
        _flush(sys.stdout)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _fill_closed_streams() -> None:
    """Open nothing in place of a closed stream: else a file of ours gets its number, and what C code prints there."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def explain(error: BaseException) -> tuple[str, int]:
    """The one-line message and the exit code for an error."""
    if isinstance(error, click.Abort | KeyboardInterrupt):
        interrupt = error if isinstance(error, KeyboardInterrupt) else error.__cause__  # click raises its own from it
        return str(interrupt or "") or "interrupted: give the same command again", 130
    if isinstance(error, SystemExit):  # no command of ours leaves so: exit code 0 would pass for a finished run
        return "a model, a plugin or a library called sys.exit(0) during the command", INTERNAL
    if isinstance(error, AdvplugError):
        return str(error), next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 2)
    if isinstance(error, _console.Unprinted) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    ):
        remedy = "open it" if isinstance(error, _console.Unprinted) else "make room"
        return f"{error}: {remedy}, then give the same command again", 1
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in COMPUTING:
        return f"{error.name} is not installed: pip install 'advplug[torch]'", 4
    return f"internal error: {type(error).__name__}: {error}", INTERNAL
