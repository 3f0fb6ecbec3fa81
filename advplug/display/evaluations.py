"""An evaluation where somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from advplug.display import tables
from advplug.errors import InvalidInput
from advplug.evaluation.diagnostics.signs import percent
from advplug.records.evaluation import Evaluation, Row
from advplug.report import summary, together

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FIGURES = (
    "role", "name", "library", "robust_accuracy", "detected", "queries", "gradients", "seconds", "median_distance",
    "mean_distance", "lost", "published",
)  # fmt: skip


def as_table(evaluation: Evaluation, per: Literal["attack", "sample"]) -> Any:
    """A ``pandas.DataFrame`` with a row per attack, with its components, or per sample; raises as ``to_pandas``."""
    if per not in ("attack", "sample"):
        raise InvalidInput(f"per is {per!r}: choose attack or sample")
    if per == "sample":
        return tables.data_frame(evaluation.per_sample())
    return tables.data_frame([_figures(row) for row in evaluation.rows], None if evaluation.rows else _FIGURES)


def _figures(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _FIGURES} | {
        name: text for name, text in row.components.items() if name not in _FIGURES
    }


def as_text(evaluation: Evaluation) -> str:
    """Three lines: what was attacked, what is left of it, and where the rest stands."""
    told = [f"{len(evaluation.attacks)} attacks" if len(evaluation.attacks) != 1 else "1 attack"]
    troubles = sum(finding.status in ("warn", "fail") for finding in evaluation.findings)
    told += [f"{troubles} warnings of the diagnostics, in .findings"] if troubles else []
    told += [f"written into {evaluation.run_dir}"] if evaluation.run_dir is not None else []
    return "\n".join(
        (
            f"evaluated: {summary.subject(evaluation)} under {evaluation.threat}, {evaluation.samples} samples",
            f"accuracy: {_accuracies(evaluation)}",
            f"holds: {'; '.join(told)}",
        )
    )


def _accuracies(evaluation: Evaluation) -> str:
    found = [f"{percent(evaluation.clean_accuracy)} without an attack"]
    if evaluation.best is not None:
        found.append(f"{percent(evaluation.best.robust_accuracy)} under {evaluation.best.name}")
        left = together.accuracy(evaluation)
        found += [] if left is None else [f"{percent(left)} under all attacks together"]
    return ", ".join(found)


def as_html(evaluation: Evaluation) -> str:
    """The verdict, then the table, then what diagnostics warn of; for a cell of a notebook."""
    troubles = [finding for finding in evaluation.findings if finding.status in ("warn", "fail")]
    told = [f"<b>{escape(one.status)}</b>: {escape(f'{one.message} {one.advice}'.rstrip())}" for one in troubles]
    return "".join(
        (
            f"<p><b>{escape(summary.verdict(evaluation))}</b></p>",
            _table_of(evaluation),
            *(f"<p>[{number}] {escape(one)}</p>" for number, one in enumerate(summary.sources(evaluation), 1)),
            *(f"<p>{text}</p>" for text in told),
        )
    )


def _table_of(evaluation: Evaluation) -> str:
    """The table in HTML, without columns that say nothing: roles and libraries are there where they differ."""
    lines = summary.lines(evaluation)
    texts = [{"attack": line.name, **_origin(line), **summary.cells(line, evaluation)} for line in lines]
    heads = [head for head in texts[0] if any(one[head] for one in texts)]
    same = [head for head in ("role", "library") if len({one[head] for one in texts} - {""}) < 2]
    heads = [head for head in heads if head not in same]
    return tables.html_table(heads, ([one[head] for head in heads] for one in texts))


def _origin(line: summary.Line) -> dict[str, str]:
    return {"role": "" if line.role in ("clean", "all") else line.role, "library": line.library}


def plot_security_curve(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Draw the accuracy that each attack leaves against the budget, and thick what all together leave.

    Parameters
    ----------
    ax: where to draw; None makes a figure with pyplot, which a notebook shows.
    """
    ax = tables.axes(ax)
    clean, norm = evaluation.clean_accuracy, evaluation.threat.partition(":")[0]
    for row in evaluation.attacks:
        budgets, accuracies = _curve([row], evaluation)
        marker = "" if evaluation.epsilon is None else "o"
        ax.plot(budgets, accuracies, marker=marker, label=row.name, **_steps(evaluation))
    if len(evaluation.attacks) > 1:
        budgets, accuracies = _curve(evaluation.attacks, evaluation)
        thick: dict[str, Any] = {"color": "black", "alpha": 0.3, "linewidth": 6, "zorder": 1.5}
        ax.plot(budgets, accuracies, label="all together", **thick, **_steps(evaluation))
    ax.axhline(100 * clean, color="grey", linestyle=":", linewidth=1, label="no attack")
    ax.set(xlabel=f"{norm} budget", ylabel="accuracy (%)", ylim=(0, 101), xlim=(0, None))
    ax.legend(frameon=False)
    return ax


def _steps(evaluation: Evaluation) -> dict[str, Any]:
    return {"drawstyle": "steps-post"} if evaluation.epsilon is None else {}


def _curve(rows: Sequence[Row], evaluation: Evaluation) -> tuple[list[float], list[float]]:
    """Budgets and per cents that ``rows`` leave together: at every budget that all ran at, or at every distance."""
    alone, epsilon = replace(evaluation, rows=tuple(rows)), evaluation.epsilon
    if epsilon is None:
        points = list(together.staircase(together.nearest(rows), evaluation.clean_accuracy))
    else:
        shared = set.intersection(*({budget for budget, _ in row.sweep} for row in rows)) - {epsilon}
        points = [(0.0, evaluation.clean_accuracy)]
        points += [(budget, together.accuracy_at(rows, budget)) for budget in sorted(shared)]
        points.append((epsilon, alone.robust_accuracy))
    return [budget for budget, _ in points], [100 * left for _, left in points]
