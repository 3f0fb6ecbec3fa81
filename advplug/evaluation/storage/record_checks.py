"""What the files of a run must hold, whoever edited them since. Each check raises ValueError in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from advplug.errors import InvalidInput
from advplug.hyperparameters import check_hyperparameters
from advplug.records.evaluation import Evaluation, Row
from advplug.threat import Norm


def read_json(text: str) -> Any:
    """What ``text`` holds; NaN and infinities, which Python writes and JSON does not know, are refused."""

    def refuse(name: str) -> Any:
        raise ValueError(f"it holds {name}, which is no JSON")

    return json.loads(text, parse_constant=refuse)


def check_row(row: Row) -> None:
    """Figures of the right kinds."""
    _check_fields(row)
    pairs = [*row.sweep, *row.queries_at, *row.shrunk, *((left,) for _, left in row.stages)]
    if not all(isinstance(figure, int | float) for pair in pairs for figure in pair):
        raise ValueError("figures are no numbers")


def check_evaluation(evaluation: Evaluation, keys: Sequence[object]) -> None:
    """Figures of the right kinds, a threat model that can be read, and an environment as it was written."""
    _check_fields(evaluation)
    for finding in evaluation.findings:
        _check_fields(finding)
    if evaluation.threat.partition(":")[0] not in get_args(Norm) or not math.isfinite(evaluation.epsilon or 0.0):
        raise ValueError(f"threat is {evaluation.threat!r}")
    environment = evaluation.environment
    tables = [environment.get(name, {}) for name in ("versions", "plugins")]
    if not all(isinstance(table, Mapping) for table in (*tables, *_values(tables[1]))):
        raise ValueError("the environment has another form")
    if not all(isinstance(key, str) for key in keys):
        raise ValueError("the keys of its rows are no text")


def check_inputs(evaluation: Evaluation) -> None:
    """Finite inputs with a label each, as many as the evaluation counts and of the shape of its adversarials."""
    inputs, labels = evaluation.inputs, evaluation.labels
    if inputs.dtype.kind != "f" or labels.dtype.kind not in "iu" or inputs.ndim < 2:
        raise ValueError(f"its arrays are {inputs.dtype} {inputs.shape} and {labels.dtype} {labels.shape}")
    if {len(inputs), *labels.shape} != {evaluation.samples} or labels.ndim != 1:
        raise ValueError(f"it holds {len(inputs)} inputs, the evaluation has {evaluation.samples}")
    if any(row.arrays["adversarials"].shape != inputs.shape for row in evaluation.rows):
        raise ValueError(f"its inputs have shape {inputs.shape}, the adversarials another one")
    if not np.isfinite(inputs).all() or (labels < 0).any():
        raise ValueError("it holds NaN, infinite inputs or negative labels")


def _check_fields(record: Any) -> None:
    try:
        check_hyperparameters(record)
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _values(table: object) -> list[object]:
    return list(table.values()) if isinstance(table, Mapping) else []
