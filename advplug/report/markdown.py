"""The table of an evaluation as Markdown."""

from __future__ import annotations

from advplug.records.evaluation import Evaluation
from advplug.report.summary import distance_columns, lines, remarks, sources, verdict


def markdown(evaluation: Evaluation) -> str:
    """Verdict, table, remarks and numbered sources."""
    figures = ("robust accuracy", *distance_columns(evaluation), "detected", "queries", "gradients", "seconds")
    head = ("role", "attack", "library", *figures, "published")
    rows = [head, ("---",) * 3 + ("---:",) * (len(head) - 3)]
    for line in lines(evaluation):
        mark = f" [{line.note}]" if line.note else ""
        accuracy = f"{line.accuracy} {line.interval}"
        figures = (accuracy, *line.distances, line.detected, line.queries, line.gradients, line.seconds)
        rows.append((line.role, line.name, line.library, *figures, line.published + mark))
    table = "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in rows)
    numbered = "\n".join(f"{number}. {source}" for number, source in enumerate(sources(evaluation), 1))
    return "\n\n".join(part for part in (verdict(evaluation), table, *remarks(evaluation), numbered) if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
