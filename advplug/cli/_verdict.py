"""What a run says to whoever started it: files of its findings for machines, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from advplug.cli import _console

if TYPE_CHECKING:
    from advplug.cli._options import Options
    from advplug.evaluation import Evaluation


def write_files(evaluation: Evaluation, sarif: Path | None, junit: Path | None) -> str:
    """Write the findings; returns one line on what could not be written, "" where all was."""
    from advplug.evaluation.diagnostics.findings_files import as_junit, as_sarif
    from advplug.records.files import replace_file

    troubles = []
    for path, render in ((sarif, as_sarif), (junit, as_junit)):
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, lambda file, render=render: file.write_text(render(evaluation), encoding="utf-8"))  # type: ignore[misc]
        except OSError as error:
            troubles.append(f"{path} ({error.strerror or error})")
    return f"not written: {', '.join(troubles)}" if troubles else ""


def conclude(evaluation: Evaluation, options: Options) -> None:
    """Write the files, and end with exit code 1 if a finding is as bad as ``--fail-on`` says."""
    unwritten = write_files(evaluation, options.sarif, options.junit)
    if unwritten:
        _console.warn(unwritten)
    if is_bad(evaluation, options) or unwritten:
        click.get_current_context().exit(1)


def is_bad(evaluation: Evaluation, options: Options) -> bool:
    """Whether a finding is as bad as ``--fail-on`` says, which one line names then."""
    bad = {"warn": ("warn", "fail"), "fail": ("fail",), "never": ()}[options.fail_on]
    named = [f"{one.id or 'plugin'} {one.name}" for one in evaluation.findings if one.status in bad]
    if named:
        _console.warn(f"--fail-on {options.fail_on}: {', '.join(dict.fromkeys(named))}")
    return bool(named)
