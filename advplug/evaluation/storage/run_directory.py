"""The record of a run on disk: each file written whole or not at all, and checked when it is read."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from advplug.errors import InvalidInput
from advplug.evaluation.chain import Chain
from advplug.evaluation.storage.record_checks import check_evaluation, check_inputs, check_row, read_json
from advplug.records.evaluation import Arrays, Evaluation, Row
from advplug.records.files import LEFT_OVER, replace_file

FOLDERS = ("rows", "behaviours", "pieces")

_KEY = "[0-9a-f]" * 16
_KEYED = (f"rows/{_KEY}.json", f"rows/{_KEY}.npz", f"behaviours/{_KEY}.npz", f"pieces/{_KEY}-*.safetensors")
_OF_A_SEARCH = ("search.json", "trials.jsonl", "search.html", "search.md")
_NAMED = ("evaluation.json", "inputs.npz", "job.json", "report.html", *_OF_A_SEARCH)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function that a component holds: another one in every process
_TRIAL = bytes(1 << 16)  # a full disk may still hold an empty file
_NUMBERS = ("robust_accuracy", "queries", "gradients", "seconds")
_MENDS = "the same command again mends it"


class RunDirectory:
    """``evaluation.json``, ``inputs.npz`` and, for each attack, ``rows/KEY.json`` with ``rows/KEY.npz``.

    Until a row is finished, ``pieces/KEY-START-STOP.safetensors`` hold what it has so far, slice by slice; ``job.json``
    says what was asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def try_place(self) -> None:
        """Make sure that the directory can be made and written, and leave nothing behind.

        Raises
        ------
        InvalidInput: it cannot.
        """
        with self.refusing():
            place = next(path for path in (self.path / "rows", self.path, *self.path.parents) if path.exists())
            if not place.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(_TRIAL)

    def refuse_foreign(self) -> None:
        """Make sure that no file of somebody else's has a name that a run would replace or delete.

        Raises
        ------
        InvalidInput: one has, and nothing beside it shows that a run wrote it.
        """
        with self.refusing():
            taken = next((name for name in _NAMED if (self.path / name).is_file()), None)
        if taken is None or self._holds_a_run():
            return
        raise InvalidInput(
            f"{self.path} holds a file {taken} that no run of advplug left there, and a run would replace it: give "
            "another directory, or move the file away"
        )

    def _holds_a_run(self) -> bool:
        """Whether there is a row, the answers of a model or an evaluation, whole or damaged."""
        if any(next(self.path.glob(pattern), None) for pattern in _KEYED):
            return True
        try:
            return {"keys", "rows"} <= set(json.loads((self.path / "evaluation.json").read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            return False

    def writes(self, path: Path) -> bool:
        """Whether a run here would write the file ``path``."""
        own, other = self.path.resolve(), path.resolve()
        return other in [own / name for name in _NAMED] or other.parent in [own / name for name in FOLDERS]

    def make_writable(self) -> None:
        """Make the directory, and make sure that it can be written: before an attack has cost an hour.

        Raises
        ------
        InvalidInput: it cannot.
        """
        with self.refusing():
            for name in FOLDERS:
                (self.path / name).mkdir(parents=True, exist_ok=True)
                replace_file(self.path / name / ".writable", lambda file: file.write_bytes(_TRIAL))
                (self.path / name / ".writable").unlink()

    def tidy(self) -> None:
        """Remove what processes left that were killed while they wrote; only for who holds the lock."""
        with self.refusing():
            for pattern in (*_NAMED, *_KEYED):
                folder, _, name = pattern.rpartition("/")
                for file in (self.path / folder).glob(LEFT_OVER.format(name)):
                    file.unlink(missing_ok=True)

    def records(self) -> list[Path]:
        """The files of rows, pieces and behaviours, in a fixed order: of a row the JSON comes last."""
        found = [path for pattern in _KEYED for path in self.path.glob(pattern)]
        return sorted(found, key=lambda path: (path.suffix == ".json", path))

    def forget(self) -> None:
        """Delete what advplug wrote into the directory, and nothing else that may lie there."""
        with self.refusing():
            for pattern in (*_NAMED, *_KEYED):
                for file in self.path.glob(pattern):
                    file.unlink(missing_ok=True)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Turn an OSError into the InvalidInput that names the directory."""
        try:
            yield
        except OSError as error:
            raise InvalidInput(f"the run directory {self.path} cannot be written: {error}") from error

    def behaviours(self) -> list[str]:
        """Names of the models whose answers are on record."""
        return sorted(path.stem for path in (self.path / "behaviours").glob("*.npz"))

    def load_behaviour(self, name: str) -> Arrays:
        """The answers of a model.

        Raises
        ------
        InvalidInput: the file is damaged.
        """
        path = self.path / "behaviours" / f"{name}.npz"
        with _intact(f"{path} is damaged", "rows that rest on it are computed again"):
            found = _arrays(path.read_bytes())
            if {"scores", "labels", "accepted"} - found.keys():
                raise KeyError("an array is missing")
            return found

    def save_behaviour(self, name: str, answers: Arrays) -> None:
        """Write the answers of a model."""
        folder = self.path / "behaviours"
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / f"{name}.npz", lambda file: _save(file, answers))

    @staticmethod
    def key(model: str, name: str, components: Mapping[str, str], code: str) -> str:
        """Name of a row's files: the same only for the same model, data, threat, seed, recipe and code of it."""
        text = _ADDRESS.sub("", json.dumps([model, name, dict(components), code]))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def load_piece(self, key: str, chain: Chain) -> bytes | None:
        """What the row ``key`` has on the samples of ``chain``, None for nothing."""
        try:
            return self._piece(key, chain).read_bytes()
        except FileNotFoundError:
            return None

    def save_piece(self, key: str, chain: Chain, content: bytes) -> None:
        """Write what a row has on a slice so far."""
        path = self._piece(key, chain)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: file.write_bytes(content))

    def forget_piece(self, key: str, chain: Chain) -> None:
        """Delete a piece."""
        self._piece(key, chain).unlink(missing_ok=True)

    def forget_pieces(self, key: str) -> None:
        """Delete the pieces of a row that is finished."""
        for path in (self.path / "pieces").glob(f"{key}-*.safetensors"):
            path.unlink(missing_ok=True)

    def _piece(self, key: str, chain: Chain) -> Path:
        return self.path / "pieces" / f"{key}-{chain.start:08d}-{chain.stop:08d}.safetensors"

    def save_job(self, named: Mapping[str, Any]) -> None:
        """Write what the command line was asked for."""
        _write_text(self.path / "job.json", json.dumps(named, indent=1))

    def load_job(self) -> Mapping[str, Any] | None:
        """What the command line was asked for; None where nobody wrote it.

        Raises
        ------
        InvalidInput: the file is damaged.
        """
        path = self.path / "job.json"
        with _intact(f"{path} is damaged", "run the command itself again"):
            try:
                named: Mapping[str, Any] = read_json(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None
            if not isinstance(named, Mapping):
                raise ValueError("it holds no table")
            return named

    def has_row(self, key: str) -> bool:
        """Whether the files of a row are there, and may be seen."""
        return all(os.path.isfile(self.path / "rows" / f"{key}{suffix}") for suffix in (".json", ".npz"))

    def load_row(self, key: str, name: str = "", remedy: str = "it is computed again, alone") -> Row | None:
        """The finished row of that key, None if there is none; ``name`` (its attack) and ``remedy`` are for messages.

        Raises
        ------
        InvalidInput: its files are damaged, or hold another row's content.
        """
        path = self.path / "rows" / f"{key}.json"
        with _intact(f"the row {name or key} ({path}) is damaged", remedy):
            try:
                figures = read_json(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None
            content = path.with_suffix(".npz").read_bytes()
            owner, digest = figures.pop("key", key), figures.pop("digest", None)
            if owner != key:
                raise ValueError(f"it holds the row {owner}")
            if digest is not None and digest != _digest(figures, content):  # earlier versions wrote none
                raise ValueError("its two files do not belong together, or were changed")
            row = Row.from_figures(figures, _arrays(content))
            _check(row)
            check_row(row)
            return row

    def save_row(self, key: str, row: Row) -> None:
        """Write a finished row; the JSON comes last and marks it complete."""
        base = self.path / "rows" / key
        base.parent.mkdir(parents=True, exist_ok=True)
        figures = json.loads(json.dumps(row.figures()))  # as they are read back
        content = _write_arrays(base.with_suffix(".npz"), row.arrays)
        document = {**figures, "key": key, "digest": _digest(figures, content)}
        _write_text(base.with_suffix(".json"), json.dumps(document, indent=1))

    def save(self, evaluation: Evaluation, keys: list[str]) -> Evaluation:
        """Write the evaluation itself; returns it with its run directory filled in."""
        evaluation = replace(evaluation, run_dir=self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        data: dict[str, Any] = {"inputs": evaluation.inputs, "labels": evaluation.labels, **evaluation.landscapes}
        content = _write_arrays(self.path / "inputs.npz", data)
        document = {
            **evaluation.to_json(),
            "environment": dict(evaluation.environment),
            "class_names": list(evaluation.class_names),
            "transcribed": evaluation.transcribed,
            "sample_rate": evaluation.sample_rate,
            "keys": keys,
            "inputs_digest": hashlib.sha256(content).hexdigest(),
        }
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
        with _intact(f"{index} is damaged", _MENDS):
            document = read_json(index.read_text(encoding="utf-8"))
            evaluation = replace(
                Evaluation.from_json(document),
                environment=document["environment"],
                class_names=tuple(document["class_names"]),
                transcribed=document.get("transcribed", False),  # earlier: none
                sample_rate=document.get("sample_rate"),
            )
            check_evaluation(evaluation, document["keys"])
            pairs = list(zip(document["keys"], evaluation.rows, strict=True))
        rows = tuple(self._row_of(key, row) for key, row in pairs)
        path = self.path / "inputs.npz"
        with _intact(f"{path} is damaged", _MENDS):
            content = path.read_bytes()
            if document.get("inputs_digest") not in (None, hashlib.sha256(content).hexdigest()):  # earlier: none
                raise ValueError("it is of another run, or was changed")
            data = _arrays(content)
            inputs, labels = data.pop("inputs"), data.pop("labels")
            evaluation = replace(
                evaluation, rows=rows, run_dir=self.path, inputs=inputs, labels=labels, landscapes=data
            )
            check_inputs(evaluation)
        return evaluation

    def _row_of(self, key: str, listed: Row) -> Row:
        """The row that the index lists."""
        row = self.load_row(key, listed.name, _MENDS)
        if row is None:
            raise InvalidInput(f"the row {listed.name} ({self.path / 'rows' / key}.json) is missing: {_MENDS}")
        return row


@contextmanager
def _intact(trouble: str, remedy: str) -> Iterator[None]:
    """Say which file of a run is damaged and what becomes of it, instead of how its parser failed."""
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:  # whatever a parser makes of foreign bytes
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InvalidInput(f"{trouble} ({why}): {remedy}") from error


def _check(row: Row) -> None:
    """Refuse figures that are no numbers, and per-sample records (N, ...) of several N; a trace is (T, N)."""
    if not all(isinstance(getattr(row, name), int | float) for name in _NUMBERS):
        raise ValueError("figures are no numbers")
    samples = {array.shape[1 if name == "trace" else 0] for name, array in row.arrays.items()}
    if len(samples) != 1 or {"adversarials", "success", "target"} - row.arrays.keys():
        raise ValueError("arrays are missing, or of other lengths")


def _digest(figures: Mapping[str, Any], content: bytes) -> str:
    """Hash of both files of a row, without what the JSON says of itself."""
    return hashlib.sha256(json.dumps(figures, sort_keys=True).encode() + content).hexdigest()


def _save(file: Path, arrays: Arrays) -> None:
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(file, **named)  # without allow_pickle, which NumPy 1 would store as one more array


def _write_arrays(path: Path, arrays: Arrays) -> bytes:
    """Write ``arrays``; returns what the file holds then."""
    contents: list[bytes] = []

    def write(file: Path) -> None:
        _save(file, arrays)
        contents.append(file.read_bytes())

    replace_file(path, write)
    return contents[0]


def _arrays(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


class StoredArrays(Mapping[str, Any]):
    """The arrays of a row, read from its file each time that one is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with np.load(path, allow_pickle=False) as stored:
            self._names = tuple(stored.files)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        with np.load(self.path, allow_pickle=False) as stored:
            return stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _write_text(path: Path, text: str) -> None:
    replace_file(path, lambda file: file.write_text(text, encoding="utf-8"))
