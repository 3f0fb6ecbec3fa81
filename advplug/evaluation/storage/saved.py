"""An evaluation in a directory of the caller's choice, the result of one attack in a file; and both read back."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path

import eagerpy as ep
import torch
from torch import Tensor

from advplug.engine.result import AttackResult
from advplug.errors import InvalidInput
from advplug.evaluation.storage.piece import Piece
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.evaluation.storage.store import claimed
from advplug.numerics.tensors import raw
from advplug.records.evaluation import Evaluation, Row
from advplug.records.files import replace_file


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


def save_result(result: AttackResult, path: Path) -> Path:
    """Write ``result`` into a file of its own, as the piece of a run that has all samples; returns its path.

    Raises
    ------
    InvalidInput: the file is there already, or cannot be written.
    """
    if path.exists():
        raise InvalidInput(f"{path} is there already: choose another name, or remove it")
    count = len(result.success)
    piece = Piece(
        start=0,
        result=replace(result, adversarials=_as_tensor(result.adversarials)),
        standing=torch.zeros(0, count, dtype=torch.float64),
        passes=torch.zeros(0, count, dtype=torch.int64),
        predicted=torch.full((count,), -1),
        smallest=torch.full((count,), torch.inf, dtype=torch.float64),
        seconds=0.0,
        done=True,
    )
    try:
        replace_file(path, lambda temporary: temporary.write_bytes(piece.to_bytes()))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror or error})") from error
    return path


def load_result(path: Path) -> AttackResult:
    """The result that :func:`save_result` wrote.

    Raises
    ------
    InvalidInput: there is none, or it is damaged.
    """
    try:
        return Piece.from_bytes(path.read_bytes()).result
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror or error})") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path} holds no result of an attack, or is damaged: {error}") from error


def _as_tensor(adversarials: Tensor | ep.Tensor) -> Tensor:
    return raw(adversarials) if isinstance(adversarials, ep.Tensor) else adversarials


def _key(row: Row, place: int) -> str:
    """Name of a row's files that no run gives: nothing of it is read back as the row of an attack to run."""
    text = json.dumps(["saved", place, row.figures()], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
