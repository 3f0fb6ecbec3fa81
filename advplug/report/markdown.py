"""The table of an evaluation as Markdown."""

from __future__ import annotations

from advplug.evaluation.records import Evaluation
from advplug.report.summary import lines, remarks, sources, verdict

_HEAD = ("role", "attack", "library", "robust accuracy", "detected", "queries", "gradients", "seconds", "published")


def markdown(evaluation: Evaluation) -> str:
    """Verdict, table, remarks and numbered sources."""
    rows = [_HEAD, ("---",) * 3 + ("---:",) * 6]
    for line in lines(evaluation):
        mark = f" [{line.note}]" if line.note else ""
        accuracy = f"{line.accuracy} {line.interval}"
        cost = (line.queries, line.gradients, line.seconds)
        rows.append((line.role, line.name, line.library, accuracy, line.detected, *cost, line.published + mark))
    table = "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in rows)
    numbered = "\n".join(f"{number}. {source}" for number, source in enumerate(sources(evaluation), 1))
    return "\n\n".join(part for part in (verdict(evaluation), table, *remarks(evaluation), numbered) if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
