"""The trials of a search, in memory and in a file, from which a search that was interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from advplug.composition.trials import Outcome
from advplug.records.composition import Place, Sentence, Trial
from advplug.records.files import replace_file


class Journal:
    """Notes every trial once; what an earlier run noted under the same ``key`` is not tried again.

    Parameters
    ----------
    path: a file with a JSON document on each line, written whole after each trial; None keeps nothing.
    key: of the model, the data and the plan; lines with another one are dropped.
    heard: called with each trial, those read back included.
    """

    def __init__(
        self, path: Path | None = None, key: str = "", heard: Callable[[Trial], None] = lambda trial: None
    ) -> None:
        self.path, self.key, self.heard = path, key, heard
        self.trials: list[Trial] = []
        self.places: tuple[Place, ...] | None = None
        """What the trace found, once there was one."""
        self._earlier = {_name(trial): trial for trial in read_trials(path, key)} if path is not None else {}

    def outcome(self, part: int, sentence: Sentence, samples: int, attempt: Callable[[], Outcome]) -> Outcome:
        """The outcome of a trial, from the file or by ``attempt``."""
        name = (part, repr(sentence), samples)
        trial = self._earlier.get(name)
        if trial is None:
            values = attempt()._asdict()
            trial = Trial(number=0, part=part, sentence=sentence, samples=samples, kept=False, **values)
        self.trials.append(replace(trial, number=len(self.trials)))
        if name not in self._earlier:
            self._earlier[name] = self.trials[-1]
            self._write()
        self.heard(self.trials[-1])
        return Outcome(**{field: getattr(trial, field) for field in Outcome._fields})

    def knows(self, part: int, sentence: Sentence, samples: int) -> bool:
        """Whether an earlier run noted this trial."""
        return (part, repr(sentence), samples) in self._earlier

    def kept(self, part: int, winner: Sentence | None) -> None:
        """Mark the trials of ``part`` whose sentence saw more samples afterwards, or won."""
        most: dict[str, int] = {}
        for trial in self.trials:
            if trial.part == part:
                most[repr(trial.sentence)] = max(trial.samples, most.get(repr(trial.sentence), 0))
        self.trials = [
            replace(trial, kept=trial.samples < most[repr(trial.sentence)] or trial.sentence == winner)
            if trial.part == part
            else trial
            for trial in self.trials
        ]
        self._earlier |= {_name(trial): trial for trial in self.trials}
        self._write()

    def recall(self, part: int) -> None:
        """Take the trials of a ``part`` that an earlier run finished."""
        found = [trial for trial in self._earlier.values() if trial.part == part]
        self.trials += sorted(found, key=lambda trial: trial.number)

    def _write(self) -> None:
        if self.path is None:
            return
        lines = [json.dumps({"key": self.key, **asdict(trial)}) for trial in self._earlier.values()]
        text = "".join(f"{line}\n" for line in lines)
        replace_file(self.path, lambda file: file.write_text(text, encoding="utf-8"))


def read_trials(path: Path, key: str) -> list[Trial]:
    """The trials that ``path`` has under ``key``; a line that is damaged is tried again, and so are those after it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        try:
            document: Mapping[str, Any] = json.loads(line)
            if document["key"] != key:
                continue
            values = {name: value for name, value in document.items() if name != "key"}
            found.append(Trial(**{**values, "sentence": Sentence(**values["sentence"])}))
        except (ValueError, KeyError, TypeError):
            return found
    return found


def _name(trial: Trial) -> tuple[int, str, int]:
    return trial.part, repr(trial.sentence), trial.samples
