"""An evaluation as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from advplug.records.evaluation import Evaluation
from advplug.report.apart import apart
from advplug.report.checklist import answers, checklist
from advplug.report.diagnoses import counted, diagnoses
from advplug.report.reproduce import facts
from advplug.report.summary import (
    SHORT,
    budget_columns,
    distance_columns,
    lines,
    remarks,
    role_of,
    sources,
    subject,
    verdict,
)


def markdown(evaluation: Evaluation) -> str:
    """Verdict, table, remarks and numbered sources."""
    smaller = budget_columns(evaluation)
    apart = ("at full budget",) if smaller else ()
    between = (*smaller, *distance_columns(evaluation))
    figures = ("robust accuracy", *between, "detected", "queries", *apart, "gradients", "seconds")
    head = ("role", "attack", "library", *figures, "published")
    rows = []
    for line in lines(evaluation):
        mark = f" [{line.note}]" if line.note else ""
        accuracy = f"{line.accuracy} {line.interval}"
        passes = (line.queries, *(line.full for _ in apart), line.gradients)
        figures = (accuracy, *line.smaller, *line.distances, line.detected, *passes, line.seconds)
        rows.append((line.role, line.name, line.library, *figures, line.published + mark))
    numbered = "\n".join(f"{number}. {source}" for number, source in enumerate(sources(evaluation), 1))
    parts = (verdict(evaluation), table(head, rows, texts=3), *remarks(evaluation), numbered)
    return "\n\n".join(part for part in parts if part)


def whole_report(evaluation: Evaluation) -> str:
    """Everything that the page says in words: the above, diagnostics, checklist and how to reproduce."""
    found = diagnoses(evaluation)
    parts = [
        f"# {subject(evaluation)} under {evaluation.threat}",
        markdown(evaluation),
        *_apart(evaluation),
        f"## Diagnostics\n\n{counted(found)}.",
        table(
            ("diagnostic", "status", "figure", "what it means", "try next", "samples"),
            [
                (f"{one.id} {one.title}".strip(), one.status, one.figure, one.message, one.advice, one.samples)
                for one in found
            ],
        ),
        f"## Checklist\n\nAfter Carlini et al. 2019 (1902.06705): {answers(evaluation)}.",
        table(
            ("question", "answer", "why"),
            [(item.question, item.answer, item.reason) for item in checklist(evaluation)],
        ),
        "## How to reproduce",
        table(("what", "value"), facts(evaluation)),
        "## Recipes",
        *(
            f"**{row.name}**\n\n{table(('component', 'value'), list(row.components.items()))}"
            for row in evaluation.rows
            if row.components
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _apart(evaluation: Evaluation) -> Iterator[str]:
    for one in apart(evaluation):
        rows = [
            (role_of(row, evaluation), row.name, SHORT.get(row.library, row.library), *texts)
            for row, texts in one.lines
        ]
        yield f"## {one.title}"
        yield table(("role", "attack", "library", *one.heads), rows, texts=3)
        yield one.note


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int | None = None) -> str:
    """A table; the columns after the first ``texts`` are figures, set flush right."""
    left = len(head) if texts is None else texts
    rule = ("---",) * left + ("---:",) * (len(head) - left)
    return "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in (head, rule, *rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
