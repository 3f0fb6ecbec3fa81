"""Checks of a tracker plugin: it writes where it is told and when, and survives what an attack may tell it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from advplug.errors import InvalidInput
from advplug.records import Evaluation, Row
from advplug.testing.subject import NotApplicable, Subject, require
from advplug.tracking import Step

NAMES = ("pgd", "pgd, margin: eot(20) / 8 of \N{GREEK SMALL LETTER EPSILON}")
"""Names of attacks: any text that a recipe may have."""


def check_writes_nothing_before_it_is_opened(subject: Subject) -> None:
    """Constructing it, even without a target, writes no file: it may never be used."""
    with _elsewhere() as folder:
        subject.new()
        found = sorted(path.name for path in folder.iterdir())
    require(not found, f"its constructor writes {', '.join(found)}: do so in open()")


def check_takes_what_an_attack_tells(subject: Subject) -> None:
    """It takes steps without a gradient, with NaN, of no sample and of any name, an evaluation, and two closings."""
    with _elsewhere() as folder:
        tracker = subject.factory(str(folder / "target"))
        try:
            tracker.open()
        except InvalidInput as error:
            raise NotApplicable(f"it writes into no folder: {error}") from error
        for name in NAMES:
            listen = tracker.of_attack(name)
            for count, value in ((3, 0.5), (3, float("nan")), (0, 0.0)):
                listen(_step(count, value, gradient=count == 3))
        tracker.finish(_evaluation())
        tracker.close()
        tracker.close()
        written = [path for path in folder.rglob("*") if path.is_file()]
    require(written, "it wrote nothing into its target: write there what it is told")


def _step(count: int, value: float, *, gradient: bool) -> Step:
    values = torch.full((count,), value)
    return Step(
        number=0,
        samples=torch.arange(count),
        loss=values,
        margin=values,
        distance=values.double(),
        gradient_norm=values if gradient else None,
        success=torch.zeros(count, dtype=torch.bool),
    )


def _evaluation() -> Evaluation:
    figures = {"robust_accuracy": 0.5, "detected": None, "queries": 1.0, "gradients": 1.0, "seconds": 0.1}
    rows = [
        Row(role="baseline", name=name, library="advplug", published=None, source=None, **figures)  # type: ignore[arg-type]
        for name in NAMES
    ]
    return Evaluation(
        case="net",
        preset=None,
        threat="linf:0.1",
        samples=3,
        clean_accuracy=1.0,
        clean_error_rate=None,
        false_positives=None,
        rows=tuple(rows),
    )


@contextmanager
def _elsewhere() -> Iterator[Path]:
    """An empty working directory."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)
