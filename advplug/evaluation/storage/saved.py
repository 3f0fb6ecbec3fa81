"""An evaluation written into a directory of the caller's choice, and read back."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path

from advplug.errors import InvalidInput
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.evaluation.storage.store import claimed
from advplug.records.evaluation import Evaluation, Row


def save(evaluation: Evaluation, path: Path) -> Evaluation:
    """Write ``evaluation`` with all its records; returns it with its directory.

    Raises
    ------
    InvalidInput: the directory cannot be written, or holds another's files; or the per-sample records are not here.
    """
    if any("adversarials" not in row.arrays for row in evaluation.rows):
        raise InvalidInput("no per-sample records to save: read the run directory with Evaluation.load(directory)")
    keys = [_key(row, place) for place, row in enumerate(evaluation.rows)]
    with claimed(path, warnings.warn) as directory, directory.refusing():
        for key, row in zip(keys, evaluation.rows, strict=True):
            directory.save_row(key, row)
        return replace(directory.save(evaluation, keys), unsaved={})


def load(path: Path) -> Evaluation:
    """The evaluation that a run or :func:`save` left in ``path``; raises InvalidInput as the run directory does."""
    return RunDirectory(path).load()


def _key(row: Row, place: int) -> str:
    """Name of a row's files that no run gives: nothing of it is read back as the row of an attack to run."""
    text = json.dumps(["saved", place, row.figures()], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
