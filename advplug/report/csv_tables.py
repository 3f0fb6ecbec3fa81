"""An evaluation as comma-separated values: one line for each attack, or one for each sample."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from advplug.evaluation.diagnostics.intervals import wilson
from advplug.numerics.written_numbers import written
from advplug.records.evaluation import Evaluation
from advplug.report import together
from advplug.report.summary import groups, role_of

_HEAD = (
    "role", "attack", "library", "robust_accuracy", "low", "high", "detected", "queries", "gradients", "seconds",
    "median_distance", "mean_distance", "published",
)  # fmt: skip
_RECORDS = ("success", "distance", "predicted", "target", "restart", "forwards", "backwards", "detected")


def attacks_csv(evaluation: Evaluation) -> str:
    """One line for each attack, after that without an attack; accuracies in [0, 1], empty cells where nothing is known.

    The last lines, where there are several, are those of the baselines and of all attacks together.
    """
    budgets = sorted({budget for row in evaluation.rows for budget, _ in row.sweep})
    head = [*_HEAD, *(f"accuracy_at_{written(budget)}" for budget in budgets)]
    lines = [["clean", "no attack", "", *_share(evaluation.clean_accuracy, evaluation), evaluation.false_positives]]
    for row in evaluation.rows:
        sweep = dict(row.sweep)
        lines.append([
            role_of(row, evaluation), row.name, row.library, *_share(row.robust_accuracy, evaluation), row.detected,
            row.queries, row.gradients, row.seconds, row.median_distance, row.mean_distance, row.published,
            *(sweep.get(budget) for budget in budgets),
        ])  # fmt: skip
    for name, whole in groups(evaluation):
        left = together.accuracy(whole)
        if left is not None:
            lines.append(["all", name, "", *_share(left, evaluation)])
    return _written([head, *(line + [None] * (len(head) - len(line)) for line in lines)])


def samples_csv(evaluation: Evaluation) -> str:
    """One line for each sample and attack; without an attack there are only the head and nothing else."""
    head = ["sample", "label", "attack", "correct", *_RECORDS]
    lines = []
    for row in evaluation.rows:
        columns = [row.arrays.get(name) for name in ("correct", *_RECORDS)]
        for sample, label in enumerate(evaluation.labels.tolist()):
            cells = (None if column is None else _cell(column[sample]) for column in columns)
            lines.append([sample, label, row.name, *cells])
    return _written([head, *lines])


def _share(share: float, evaluation: Evaluation) -> tuple[float, float, float]:
    return (share, *wilson(share, evaluation.samples))


def _cell(value: Any) -> Any:
    """A number as Python has it; booleans as 0 and 1, NaN as None."""
    number = np.asarray(value).item()
    if isinstance(number, bool):
        return int(number)
    return None if isinstance(number, float) and not np.isfinite(number) else number


def _written(lines: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()
