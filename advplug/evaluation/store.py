"""What a run keeps on disk, so that faults there cost little.

What cannot be read is computed again, what cannot be written is remembered and said, and no other process writes into
the same directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from advplug.errors import InvalidInput
from advplug.evaluation.behaviour import alike
from advplug.evaluation.lock import locked
from advplug.evaluation.run_directory import RunDirectory
from advplug.records.evaluation import Arrays, Evaluation, Row

Tell = Callable[[str], object]
"""Called with one line for the user."""


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
        self._unsaved: dict[str, tuple[str, str]] = {}
        """Name of a file -> what it is to the user, and why it could not be written."""

    def identify(self, answers: Callable[[], Arrays]) -> str:
        """Name of the model that answers so: that of an earlier run here, or a new one."""
        if self.directory is None:
            return ""
        found = answers()
        for name in self.directory.behaviours():
            try:
                if alike(self.directory.load_behaviour(name), found):
                    return name
            except InvalidInput as error:
                self.tell(str(error))
        content = b"".join(np.ascontiguousarray(found[name]).tobytes() for name in sorted(found))
        name = hashlib.sha256(content).hexdigest()[:16]
        file = f"behaviours/{name}.npz"
        self._write(file, file, lambda directory: directory.save_behaviour(name, found))
        return name

    def row(self, key: str, name: str, shape: tuple[int, ...]) -> Row | None:
        """The finished row of that key, if it is there and whole: of the attack ``name`` on inputs of ``shape``."""
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
        return row

    def keep(self, key: str, row: Row) -> None:
        """Write a row; one that cannot be written does not end the run."""
        self._write(key, f"the row {row.name}", lambda directory: directory.save_row(key, row))

    def finish(self, evaluation: Evaluation, keys: list[str]) -> Evaluation:
        """Write the evaluation, and once more what could not be written before or is gone since."""
        if self.directory is None:
            return evaluation
        for key, row in zip(keys, evaluation.rows, strict=True):
            if key in self._unsaved or not self.directory.has_row(key):
                self.keep(key, row)
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
