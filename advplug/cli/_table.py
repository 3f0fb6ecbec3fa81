"""The table of an evaluation on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from advplug.cli import _console
from advplug.cli._figures import Line, print_figures
from advplug.records.evaluation import Evaluation
from advplug.records.finding import Finding
from advplug.report import summary
from advplug.report.apart import Apart, apart

WIDTH = 108  # away from a terminal
ROOMY = 100  # from here on figures and their intervals stand side by side


def print_table(evaluation: Evaluation) -> None:
    """The table, its remarks and sources, and the verdict, on stdout."""
    console = _console.out()
    width = console.width if console.is_terminal else WIDTH
    console.print(Text(f"{summary.subject(evaluation)} under {evaluation.threat}\n"), width=width, soft_wrap=False)
    found = [(line, _figures(line, evaluation)) for line in summary.lines(evaluation)]
    lines = [
        Line(line.role, line.name, line.library, tuple(figures.values()), bold=line.role == "adaptive")
        for line, figures in found
    ]
    print_figures(console, width, list(found[0][1]), lines)
    below = [f"[{number}] {source}" for number, source in enumerate(summary.sources(evaluation), 1)]
    _print_below(below, width)
    for table in apart(evaluation):
        _print_apart(table, evaluation, width)
    troubles = (finding for finding in evaluation.findings if finding.status in ("warn", "fail"))
    below = ["", *summary.remarks(evaluation)]
    below += [
        f"{finding.status}: {_numbered(finding)}{finding.message} {finding.advice}".rstrip() for finding in troubles
    ]
    below += _looked(evaluation)
    _print_below(below, width)
    console.print(Text(f"\n{summary.verdict(evaluation)}", style="bold"), width=width, soft_wrap=False)


def _print_below(texts: Iterable[str], width: int) -> None:
    for text in texts:
        _console.out().print(Text(text, style="dim"), width=width, soft_wrap=False)


def _print_apart(table: Apart, evaluation: Evaluation, width: int) -> None:
    """A further table; an interval stands below its figure where both find no room side by side."""
    gap = " [" if width >= ROOMY else "\n["
    lines = [
        Line(
            summary.role_of(row, evaluation),
            row.name,
            summary.SHORT.get(row.library, row.library),
            tuple(text.replace(" [", gap) for text in texts),
            bold=row.role == "adaptive",
        )
        for row, texts in table.lines
    ]
    console = _console.out()
    console.print(Text(f"\n{table.title}\n"), width=width, soft_wrap=False)
    print_figures(console, width, table.heads, lines)
    _print_below([table.note] if table.note else [], width)


def _numbered(finding: Finding) -> str:
    return f"{finding.id} {finding.name}: " if finding.id else ""


def _looked(evaluation: Evaluation) -> list[str]:
    """How many diagnostics passed, and which did not run: no finding is not the same as nothing found."""
    own = [finding for finding in evaluation.findings if finding.id]
    if not own:
        return []
    passed = sum(finding.status == "pass" for finding in own)
    skipped = [f"{finding.id} {finding.name}" for finding in own if finding.status == "not-run"]
    return [f"Diagnostics: {passed} passed; not run: {', '.join(skipped) or 'none'}."]


def _figures(line: summary.Line, evaluation: Evaluation) -> dict[str, str]:
    """The texts of a line by the heads of their columns: distances need the room of intervals."""
    left_out = {"gradients", "95 %"} if summary.distance_columns(evaluation) else {"gradients"}
    return {head: text for head, text in summary.cells(line, evaluation).items() if head not in left_out}
