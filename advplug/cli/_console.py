"""Where output goes: data on stdout, everything else on stderr."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

    from advplug.plugins.host import PluginFailure

SCHEMA_VERSION = 1
"""Version of the form of everything that ``--json`` prints."""


class Unprinted(OSError):
    """Stdout is closed: what a command prints is its result, and exit code 0 would say that it is there."""


@dataclass(frozen=True)
class Typed:
    """The words of the command line, the object of click's root context."""

    words: tuple[str, ...]


def command_line() -> str:
    """What was typed, quoted for a shell; "" outside of a command that :func:`advplug.cli.run` started."""
    context = click.get_current_context(silent=True)
    typed = None if context is None else context.find_root().obj
    return shlex.join(typed.words) if isinstance(typed, Typed) else ""


_document: TextIO | None = None  # where the document goes while everything else is kept off stdout


def json_callback(ctx: click.Context, _: click.Parameter, as_json: bool) -> bool:
    """With ``--json``, keep stdout for the document until the command ends."""
    if as_json and not ctx.resilient_parsing:
        ctx.find_root().with_resource(document_alone())  # closed also where the other options are wrong
    return as_json


json_option = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=json_callback, help="Print JSON on stdout."
)


@contextmanager
def document_alone() -> Iterator[None]:
    """Keep stdout for :func:`print_json`: what a model, a plugin or a library prints, from C too, goes to stderr."""
    global _document  # noqa: PLW0603
    stdout, before = sys.stdout, _document
    if stdout is None:  # closed: nobody reads
        yield
        return
    _flush(stdout)
    kept = os.dup(1)
    with _sink() as sink, os.fdopen(kept, "w", encoding="utf-8") as document:
        os.dup2(sink, 1)
        _document = document if _writes_to(stdout, 1) else stdout
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            _flush(stdout)  # past the redirection something may be in buffers still
            os.dup2(kept, 1)
            _document = before


@contextmanager
def _sink() -> Iterator[int]:
    """The file descriptor of stderr, or of nothing where that is closed."""
    if sys.__stderr__ is not None:
        yield 2
        return
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        yield nothing.fileno()


def _writes_to(stream: TextIO, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (OSError, AttributeError):  # a stream of a notebook or a test
        return False


def _flush(stream: TextIO) -> None:
    """Write out the buffers of Python and of C."""
    stream.flush()
    if sys.__stdout__ is not None:
        sys.__stdout__.flush()
    import ctypes  # slow, and rarely needed

    ctypes.CDLL("ucrtbase" if os.name == "nt" else None).fflush(None)


def out() -> Console:
    """Console for data.

    Raises
    ------
    Unprinted: stdout is closed.
    """
    return _console(_open(sys.stdout))


def err() -> Console:
    """Console for progress, warnings and errors, which go nowhere if stderr is closed."""
    return _console(io.StringIO() if sys.stderr is None else sys.stderr)


def _open(stream: TextIO | None) -> TextIO:
    if stream is None:
        raise Unprinted("stdout is closed, so the result is not printed")
    return stream


def _console(stream: TextIO) -> Console:
    # rich is slow to import, so only commands that print with it pay. Away from a terminal it would cut tables at 80
    # columns, which loses data.
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else 200
    # emoji: it would print a painter's palette for ":art:"
    return Console(file=stream, width=width, highlight=False, soft_wrap=width is not None, emoji=False)


def print_json(content: Mapping[str, Any]) -> None:
    """Print ``content`` on stdout as one JSON object that starts with its ``schema_version``."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=2, default=_plain)
    click.echo(text, file=_document or _open(sys.stdout))


def _plain(value: Any) -> Any:
    """JSON form of what plugin authors put into specs and signatures."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def warn_of(failures: list[PluginFailure]) -> None:
    """One line on stderr if some plugin failed."""
    if failures:
        names = ", ".join(sorted({failure.distribution for failure in failures}))
        click.secho(f"! problems with {names} (advplug doctor for the traceback)", fg="yellow", err=True)


def warn(text: str) -> None:
    """One line on stderr about something that costs little."""
    click.secho(f"! {text}", fg="yellow", err=True)


def warn_of_hooks(failures: list[PluginFailure]) -> None:
    """One line on stderr for each plugin that failed during a job; a later ``advplug doctor`` cannot show those."""
    for failure in failures:
        if failure.stage in ("advplug_evaluate", "advplug_diagnose", "advplug_report_sections"):
            text = f"! {failure.distribution} {failure.version} failed in {failure.stage} ({failure.error})"
            click.secho(f"{text}; ADVPLUG_STRICT=1 stops there with the traceback", fg="yellow", err=True)
