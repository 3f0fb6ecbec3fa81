"""Runs side by side: whether they attacked the same samples, what differs, and which samples fell where."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advplug.errors import InvalidInput
from advplug.records.evaluation import Evaluation, Row
from advplug.records.per_sample import left_by
from advplug.report import together
from advplug.report.diagnoses import TITLES, status_of
from advplug.report.reproduce import digest
from advplug.report.summary import SHORT, subject

CLEAN, ALL = "no attack", "all attacks, best on each sample"


@dataclass(frozen=True)
class Paired:
    """Two runs on the samples that both hold.

    Parameters
    ----------
    samples: how many there are.
    lost_here, lost_there: samples that are lost in this run and not in the first, and the other way round.
    p: of the exact McNemar test, two-sided: how likely a split at least as uneven is if neither run breaks more.
    """

    samples: int
    lost_here: int
    lost_there: int
    p: float


@dataclass(frozen=True)
class Line:
    """One attack in all runs; None where a run does not hold it.

    ``accuracies`` has an entry for each run, of all its samples; ``differences`` and ``paired`` compare each run with
    the first on the samples that both hold.
    """

    name: str
    accuracies: tuple[float | None, ...]
    differences: tuple[float | None, ...]
    paired: tuple[Paired | None, ...]


@dataclass(frozen=True)
class Difference:
    """Something that is not the same in all runs; ``values`` has a text for each."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found; the first run is the one that the others are compared with.

    ``common`` says for each run how many of its samples the first run holds as well.
    """

    names: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    common: tuple[int, ...]
    differences: tuple[Difference, ...]
    lines: tuple[Line, ...]
    findings: tuple[Difference, ...]

    @property
    def same_samples(self) -> bool:
        """Whether all runs attacked the same samples in the same order."""
        first = self.evaluations[0]
        return all(_same(first, other) for other in self.evaluations[1:])

    def to_json(self) -> dict[str, Any]:
        """The document that ``advplug compare --json`` prints."""
        return {
            "runs": [
                {"name": name, "run_dir": str(run.run_dir or ""), "model": subject(run), "threat": run.threat,
                 "samples": run.samples, "common_samples": common}
                for name, run, common in zip(self.names, self.evaluations, self.common, strict=True)
            ],
            "same_samples": self.same_samples,
            "differences": [asdict(difference) for difference in self.differences],
            "attacks": [asdict(line) for line in self.lines],
            "findings": [asdict(finding) for finding in self.findings],
        }  # fmt: skip


def compare(runs: Mapping[str, Evaluation]) -> Comparison:
    """Compare the runs with the first of them, attack by attack: attacks of equal name and library are the same.

    Raises
    ------
    InvalidInput: fewer than two runs.
    """
    if len(runs) < 2:
        raise InvalidInput(f"{len(runs)} run to compare: name at least two directories")
    names, found = tuple(runs), tuple(runs.values())
    keys = [_keys(run) for run in found]
    matches = [_matching(found[0], run) for run in found]
    return Comparison(
        names=names,
        evaluations=found,
        common=tuple(len(here) for here, _ in matches),
        differences=tuple(_different(_conditions(found))),
        lines=tuple(_lines(found, keys, matches)),
        findings=tuple(_different(_statuses(found))),
    )


def mcnemar(one: int, other: int) -> float:
    """The two-sided exact McNemar test (a sign test) of so many samples that fell in one run alone and in the other."""
    total, least = one + other, min(one, other)
    tail = sum(math.comb(total, count) for count in range(least + 1))
    return min(1.0, float(2 * tail / 2**total))


Key = tuple[str, str, int]
"""Name and library of an attack, and how many before it have the same."""
Match = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Indices of the samples that a run shares with the first run: in the run, and in the first."""


def _keys(evaluation: Evaluation) -> dict[Key, Row]:
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for row in evaluation.rows:
        pair = (row.name, row.library)
        found[(*pair, seen[pair])] = row
        seen[pair] += 1
    return found


def _same(one: Evaluation, other: Evaluation) -> bool:
    return np.array_equal(one.inputs, other.inputs) and np.array_equal(one.labels, other.labels)


def _matching(first: Evaluation, other: Evaluation) -> Match:
    """Samples are the same if input and label are; of several that are, each is taken once."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(_names(first)):
        places.setdefault(name, []).append(place)
    here, there = [], []
    for place, name in enumerate(_names(other)):
        if places.get(name):
            here.append(place)
            there.append(places[name].pop(0))
    return np.asarray(here, np.int64), np.asarray(there, np.int64)


def _names(evaluation: Evaluation) -> Iterator[str]:
    return (digest(x, y) for x, y in zip(evaluation.inputs, evaluation.labels[:, None], strict=True))


def _lines(found: Sequence[Evaluation], keys: Sequence[Mapping[Key, Row]], matches: Sequence[Match]) -> Iterator[Line]:
    yield _line(CLEAN, [(run.clean_accuracy, _clean(run)) for run in found], matches)
    for key in dict.fromkeys(key for run in keys for key in run):
        rows = [run.get(key) for run in keys]
        name, library, number = key
        text = name + (f" ({SHORT.get(library, library)})" if library not in ("", "advplug") else "")
        text += f", number {number + 1}" if number else ""
        yield _line(text, [(None, None) if row is None else (row.robust_accuracy, _left(row)) for row in rows], matches)
    yield _line(ALL, [(together.accuracy(run), _all(run)) for run in found], matches)


Figures = tuple[float | None, NDArray[np.float64] | None]
"""An accuracy, and what is left of each sample."""


def _line(name: str, figures: Sequence[Figures], matches: Sequence[Match]) -> Line:
    first = figures[0][1]
    return Line(
        name=name,
        accuracies=tuple(accuracy for accuracy, _ in figures),
        differences=tuple(_gap(first, left, match) for (_, left), match in zip(figures, matches, strict=True)),
        paired=tuple(_pair(first, left, match) for (_, left), match in zip(figures, matches, strict=True)),
    )


def _gap(first: NDArray[np.float64] | None, other: NDArray[np.float64] | None, match: Match) -> float | None:
    here, there = match
    return None if first is None or other is None or not len(here) else float(other[here].mean() - first[there].mean())


def _pair(first: NDArray[np.float64] | None, other: NDArray[np.float64] | None, match: Match) -> Paired | None:
    here, there = match
    if first is None or other is None or not len(here):
        return None
    lost, before = other[here] <= 0.5, first[there] <= 0.5
    alone, gone = int((lost & ~before).sum()), int((before & ~lost).sum())
    return Paired(len(here), alone, gone, mcnemar(alone, gone))


def _left(row: Row) -> NDArray[np.float64] | None:
    return left_by(row.arrays) if "success" in row.arrays else None


def _all(evaluation: Evaluation) -> NDArray[np.float64] | None:
    rows = together.attacks(evaluation)
    return None if together.accuracy(evaluation) is None else np.min([left_by(row.arrays) for row in rows], axis=0)


def _clean(evaluation: Evaluation) -> NDArray[np.float64] | None:
    rows = [row for row in together.attacks(evaluation) if "correct" in row.arrays]
    return np.asarray(rows[0].arrays["correct"], np.float64) if rows else None


def _conditions(found: Sequence[Evaluation]) -> dict[str, list[str]]:
    """What a comparison should hold fixed, by name, as a text for each run."""
    texts: dict[str, list[str]] = {
        "model": [subject(run) for run in found],
        "samples": [str(run.samples) for run in found],
        "inputs and labels (sha256)": [digest(run.inputs, run.labels) for run in found],
        "threat model": [run.threat for run in found],
        "attacks": [", ".join(row.name for row in run.rows) for run in found],
    }
    tables = [_environment(run) for run in found]
    names = dict.fromkeys(name for table in tables for name in table)
    settings: dict[str, list[str]] = {}
    for place, run in enumerate(found):
        for (name, _, number), row in _keys(run).items():
            for component, text in row.components.items():
                key = f"{component} of {name}" + (f", number {number + 1}" if number else "")
                settings.setdefault(key, [""] * len(found))[place] = text
    conditions = {**texts, **settings, **{name: [table.get(name, "") for table in tables] for name in names}}
    # What only one run holds, such as an attack, says so once: under attacks.
    return {name: values for name, values in conditions.items() if len(set(values) - {""}) > 1}


def _environment(evaluation: Evaluation) -> dict[str, str]:
    environment = dict(evaluation.environment)
    for name in ("command", "date"):  # two runs that differ in nothing else are the same
        environment.pop(name, None)
    versions, plugins = environment.pop("versions", {}), environment.pop("plugins", {})
    own = {str(name): str(value) for name, value in environment.items()}
    own |= {f"version of {name}": str(version) for name, version in versions.items()}
    return own | {f"version of {key}": str(source.get("version", "")) for key, source in plugins.items()}


def _statuses(found: Sequence[Evaluation]) -> dict[str, list[str]]:
    texts = {f"{number} {title}": [status_of(run, number) for run in found] for number, title in TITLES.items()}
    names = dict.fromkeys(one.name for run in found for one in run.findings if one.id not in TITLES)
    for name in names:
        texts[name] = [next((one.status for one in run.findings if one.name == name), "") for run in found]
    return texts


def _different(texts: Mapping[str, Sequence[str]]) -> Iterator[Difference]:
    return (Difference(name, tuple(values)) for name, values in texts.items() if len(set(values)) > 1)
