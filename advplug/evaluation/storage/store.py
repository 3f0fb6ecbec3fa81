"""What a run keeps on disk, so that faults there cost little.

What cannot be read is computed again, what cannot be written is remembered and said, and no other process writes into
the same directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from advplug.errors import InvalidInput
from advplug.evaluation.chain import Chain
from advplug.evaluation.storage.behaviour import alike
from advplug.evaluation.storage.lock import locked
from advplug.evaluation.storage.run_directory import RunDirectory, StoredArrays
from advplug.records.evaluation import Arrays, Evaluation, Row

Tell = Callable[[str], object]
"""Called with one line for the user."""

HEAVY = 1 << 26
"""Bytes from which the arrays of a finished row stay on disk."""


@contextmanager
def opened(path: Path | None, tell: Tell) -> Iterator[Store]:
    """The store at ``path``, locked until the end; one that keeps nothing for None.

    Raises
    ------
    InvalidInput: the directory cannot be written, or another process writes there.
    """
    if path is None:
        yield Store(None, tell)
        return
    with claimed(path, tell) as directory:
        yield Store(directory, tell)


@contextmanager
def claimed(path: Path, tell: Tell) -> Iterator[RunDirectory]:
    """A run directory that exists, can be written, and is locked until the end; raises as :func:`opened`.

    Nothing of somebody else's lies in the way there.
    """
    directory = RunDirectory(path)
    directory.refuse_foreign()
    with ExitStack() as stack:
        with directory.refusing():
            path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(path, tell))
        directory.tidy()
        directory.make_writable()
        yield directory


class Store:
    """The rows of one run."""

    def __init__(self, directory: RunDirectory | None, tell: Tell) -> None:
        self.directory, self.tell = directory, tell
        self._pieces: dict[tuple[str, Chain], bytes] = {}
        self._unsaved: dict[str, tuple[str, str]] = {}
        """Name of a file -> what it is to the user, and why it could not be written."""

    def identify(self, answers: Callable[[], Arrays]) -> tuple[str, ...]:
        """Names of the model that answers so: those of earlier runs here, or a new one."""
        if self.directory is None:
            return ("",)
        found = answers()
        known = []
        for name in self.directory.behaviours():
            try:
                if alike(self.directory.load_behaviour(name), found):
                    known.append(name)
            except InvalidInput as error:
                self.tell(str(error))
        if known:
            return tuple(known)
        content = b"".join(np.ascontiguousarray(found[name]).tobytes() for name in sorted(found))
        name = hashlib.sha256(content).hexdigest()[:16]
        file = f"behaviours/{name}.npz"
        self._write(file, file, lambda directory: directory.save_behaviour(name, found))
        return (name,)

    def describe(self, named: Mapping[str, Any] | None) -> None:
        """Write what the command line was asked for."""
        if named is not None:
            self._write("job.json", "what was asked for", lambda directory: directory.save_job(named))

    def row(self, keys: Sequence[str], name: str, shape: tuple[int, ...]) -> Row | None:
        """The finished row of one of ``keys``, if it is whole: of the attack ``name`` on inputs of ``shape``."""
        return next((row for key in keys if (row := self._row(key, name, shape)) is not None), None)

    def _row(self, key: str, name: str, shape: tuple[int, ...]) -> Row | None:
        if self.directory is None:
            return None
        try:
            row = self.directory.load_row(key, name)
        except InvalidInput as error:
            self.tell(str(error))
            return None
        if row is not None and row.arrays["adversarials"].shape != shape:
            self.tell(f"the row {name} ({key}) is of other inputs: it is computed again, alone")
            return None
        return row if row is None else self._light(key, row)

    def keep(self, keys: Sequence[str], row: Row) -> Row:
        """Write a row under the first of ``keys`` and drop its pieces. What cannot be written does not end the run.

        The row comes back, a large one without arrays: those are read from the file then, when they are asked for.
        """
        key = keys[0]
        self._write(key, f"the row {row.name}", lambda directory: directory.save_row(key, row))
        if self.directory is None or key in self._unsaved:
            return row
        for each in keys:
            self.directory.forget_pieces(each)
        self._pieces = {place: content for place, content in self._pieces.items() if place[0] not in keys}
        return self._light(key, row)

    def _light(self, key: str, row: Row) -> Row:
        if self.directory is None or sum(array.nbytes for array in row.arrays.values()) < HEAVY:
            return row
        return replace(row, arrays=StoredArrays(self.directory.path / "rows" / f"{key}.npz"))

    def piece(self, keys: Sequence[str], name: str, chain: Chain) -> bytes | None:
        """What the row of one of ``keys`` has on the samples of ``chain``, None for nothing."""
        for key in keys:
            content = self._pieces.get((key, chain))
            if content is None and self.directory is not None:
                try:
                    content = self.directory.load_piece(key, chain)
                except OSError as error:
                    self.tell(f"a piece of the row {name} cannot be read ({error.strerror}): it is computed again")
            if content is not None:
                return content
        return None

    def forget_piece(self, keys: Sequence[str], chain: Chain) -> None:
        """Drop a piece that is of no use."""
        for key in keys:
            self._pieces.pop((key, chain), None)
            if self.directory is not None:
                self.directory.forget_piece(key, chain)

    def keep_piece(self, key: str, name: str, chain: Chain, content: bytes) -> None:
        """Write what a row has on a slice; what cannot be written stays in memory."""
        what = f"{key}-{chain.start}"
        self._write(what, f"a piece of {name}", lambda directory: directory.save_piece(key, chain, content))
        if self.directory is None or what in self._unsaved:
            self._pieces[key, chain] = content
            self._unsaved.pop(what, None)  # the row itself is told of, if that cannot be written either
        else:
            self._pieces.pop((key, chain), None)

    def finish(self, evaluation: Evaluation, keys: list[str]) -> Evaluation:
        """Write the evaluation, and once more what could not be written before or is gone since."""
        if self.directory is None:
            return evaluation
        for key, row in zip(keys, evaluation.rows, strict=True):
            if key in self._unsaved or not self.directory.has_row(key):
                self.keep([key], row)
        self._write("evaluation.json", "the evaluation", lambda directory: directory.save(evaluation, keys))
        return replace(evaluation, run_dir=self.directory.path, unsaved=dict(self._unsaved.values()))

    def _write(self, file: str, what: str, write: Callable[[RunDirectory], object]) -> None:
        if self.directory is None:
            return
        try:
            write(self.directory)
        except OSError as error:
            self._unsaved[file] = (what, error.strerror or str(error))
        else:
            self._unsaved.pop(file, None)
