"""The table of an evaluation on the terminal."""

from __future__ import annotations

from rich.text import Text

from advplug.cli import _console
from advplug.cli._figures import Line, print_figures
from advplug.evaluation.diagnostics.signs import percent
from advplug.records.evaluation import Evaluation, Row
from advplug.records.finding import Finding
from advplug.report import summary

WIDTH = 108  # away from a terminal


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
    troubles = (finding for finding in evaluation.findings if finding.status in ("warn", "fail"))
    below += ["", *summary.remarks(evaluation)]
    below += [text for row in evaluation.rows for text in (*_over_draws(row), *_past_detector(row))]
    below += [
        f"{finding.status}: {_numbered(finding)}{finding.message} {finding.advice}".rstrip() for finding in troubles
    ]
    below += _looked(evaluation)
    for text in below:
        console.print(Text(text, style="dim"), width=width, soft_wrap=False)
    console.print(Text(f"\n{summary.verdict(evaluation)}", style="bold"), width=width, soft_wrap=False)


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


def _over_draws(row: Row) -> list[str]:
    """A line on a random model: mean, worst and majority."""
    figures = row.randomised
    if not figures:
        return []
    shares = (
        f"{words} {percent(figures[name])} [{100 * figures[f'{name}_interval'][0]:.1f}, "
        f"{100 * figures[f'{name}_interval'][1]:.1f}]"
        for name, words in (("mean", "mean"), ("majority", "majority"), ("worst", "right in all"))
    )
    return [f"{row.name}, accuracy over {figures['draws']} fresh draws: {', '.join(shares)}."]


def _past_detector(row: Row) -> list[str]:
    """A line on a detector: joint success, and success at fixed false positives."""
    figures = row.rejection
    if not figures:
        return []
    low, high = figures["false_positives_interval"]
    where = "clean images that were not attacked" if figures["held_out"] else "the clean images themselves"
    at = ", ".join(f"SR@{rate.rstrip('%')} {percent(share)}" for rate, share in figures.get("success_at", {}).items())
    return [
        f"{row.name}: {percent(figures['joint'])} are misclassified and accepted"
        + (f", {at} (lower bounds)" if at else "")
        + f"; false positives {percent(figures['false_positives'])} [{100 * low:.1f}, {100 * high:.1f}] of "
        f"{figures['clean']}, {where}."
    ]


def _figures(line: summary.Line, evaluation: Evaluation) -> dict[str, str]:
    """The texts of a line by the heads of their columns."""
    distances = summary.distance_columns(evaluation)
    mark = f" [{line.note}]" if line.note else ""
    interval = {} if distances else {"95 %": line.interval}  # where there are distances they need the room
    return {
        "accuracy": line.accuracy,
        **interval,
        **dict(zip(summary.budget_columns(evaluation), line.smaller, strict=True)),
        **dict(zip(distances, line.distances, strict=True)),
        "detected": line.detected,
        "queries": line.queries,
        "at full": line.full,
        "seconds": line.seconds,
        "published": line.published + mark,
    }
