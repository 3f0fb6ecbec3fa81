"""The record of a run on disk: written whole or not at all, resumed row by row."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from advplug.errors import InvalidInput
from advplug.evaluation.behaviour import alike
from advplug.records.evaluation import Arrays, Evaluation, Row
from advplug.records.files import replace_file


class RunDirectory:
    """``evaluation.json``, ``inputs.npz`` and, for each attack, ``rows/KEY.json`` with ``rows/KEY.npz``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make_writable(self) -> None:
        """Make the directory, and make sure that it can be written: before an attack has cost an hour.

        Raises
        ------
        InvalidInput: it cannot.
        """
        try:
            (self.path / "rows").mkdir(parents=True, exist_ok=True)
            replace_file(self.path / "rows" / ".writable", lambda file: file.touch())
            (self.path / "rows" / ".writable").unlink()
        except OSError as error:
            raise InvalidInput(f"the run directory {self.path} cannot be written: {error}") from error

    def identify(self, answers: Arrays) -> str:
        """Name of the model that answers so: that of an earlier run here, or a new one."""
        folder = self.path / "behaviours"
        for path in sorted(folder.glob("*.npz")):
            with suppress(InvalidInput), _intact(path):  # a damaged record is no model's
                if alike(_arrays(path), answers):
                    return path.stem
        folder.mkdir(parents=True, exist_ok=True)
        content = b"".join(np.ascontiguousarray(answers[name]).tobytes() for name in sorted(answers))
        name = hashlib.sha256(content).hexdigest()[:16]
        replace_file(folder / f"{name}.npz", lambda file: _save(file, answers))
        return name

    @staticmethod
    def key(fingerprint: str, model: str, name: str, components: Mapping[str, str], extra: str) -> str:
        """Name of a row's files: the same only for the same model, data, threat, seed and recipe."""
        text = json.dumps([fingerprint, model, name, dict(components), extra])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def load_row(self, key: str) -> Row | None:
        """The finished row of that key, if it is there."""
        figures = self.path / "rows" / f"{key}.json"
        if not figures.is_file():
            return None
        with _intact(figures):
            return Row.from_figures(json.loads(figures.read_text()), _arrays(figures.with_suffix(".npz")))

    def save_row(self, key: str, row: Row) -> None:
        """Write a finished row; the JSON comes last and marks it complete."""
        base = self.path / "rows" / key
        base.parent.mkdir(parents=True, exist_ok=True)
        replace_file(base.with_suffix(".npz"), lambda file: _save(file, row.arrays))
        _write_text(base.with_suffix(".json"), json.dumps(row.figures(), indent=1))

    def save(self, evaluation: Evaluation, keys: list[str]) -> Evaluation:
        """Write the evaluation itself; returns it with its run directory filled in."""
        evaluation = replace(evaluation, run_dir=self.path)
        document = {
            **evaluation.to_json(),
            "environment": dict(evaluation.environment),
            "class_names": list(evaluation.class_names),
            "keys": keys,
        }
        self.path.mkdir(parents=True, exist_ok=True)
        inputs: Arrays = {"inputs": evaluation.inputs, "labels": evaluation.labels}
        replace_file(self.path / "inputs.npz", lambda file: _save(file, inputs))
        _write_text(self.path / "evaluation.json", json.dumps(document, indent=1))
        return evaluation

    def load(self) -> Evaluation:
        """Read a finished evaluation back.

        Raises
        ------
        InvalidInput: there is none, it is incomplete or damaged, or another version wrote it.
        """
        index = self.path / "evaluation.json"
        if not index.is_file():
            raise InvalidInput(f"{self.path} holds no finished evaluation: name a directory that advplug wrote")
        with _intact(index):
            return self._read(index)

    def _read(self, index: Path) -> Evaluation:
        document = json.loads(index.read_text())
        evaluation = Evaluation.from_json(document)
        rows = [self.load_row(key) for key in document["keys"]]
        if None in rows:
            raise InvalidInput(f"{self.path} is incomplete: run the evaluation again, it resumes")
        data = _arrays(self.path / "inputs.npz")
        return replace(
            evaluation,
            rows=tuple(row for row in rows if row is not None),
            environment=document["environment"],
            inputs=data["inputs"],
            labels=data["labels"],
            class_names=tuple(document["class_names"]),
            run_dir=self.path,
        )


@contextmanager
def _intact(path: Path) -> Iterator[None]:
    """Say which file of a run is damaged, instead of how its parser failed."""
    try:
        yield
    except InvalidInput:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        why = f"{type(error).__name__}: {error}"
        raise InvalidInput(f"{path} or what belongs to it is damaged ({why}): run again with --fresh") from error


def _save(file: Path, arrays: Arrays) -> None:
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(file, **named)  # without allow_pickle, which NumPy 1 would store as one more array


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _write_text(path: Path, text: str) -> None:
    replace_file(path, lambda file: file.write_text(text, encoding="utf-8"))
