"""Tables beside that of the attacks: random models over fresh draws, detectors at fixed rates of false alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advplug.evaluation.diagnostics.signs import percent
from advplug.records.evaluation import Evaluation, Row

_COUNTS = {"mean": "mean", "majority": "majority", "right in all": "worst"}
"""Three ways of counting draws, by the heads of their columns."""

_ACCEPTED = "accepted: misclassified and accepted, of the samples attacked."
_AT_RATES = (
    "SR@5, SR@50: the same at thresholds that reject 5 and 50 % of the clean inputs; lower bounds, because no attack "
    "aimed at these."
)


@dataclass(frozen=True, kw_only=True)
class Apart:
    """A table of some attacks: a title, heads of the figures, rows with their texts, and how to read it."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[Row, tuple[str, ...]], ...]
    note: str = ""


def apart(evaluation: Evaluation) -> list[Apart]:
    """The tables that ``evaluation`` has figures for, none for a model that is neither random nor rejects."""
    return [*_over_draws(evaluation.rows), *_past_detector(evaluation.rows)]


def _over_draws(rows: Sequence[Row]) -> Iterator[Apart]:
    """One table for each number of draws, of which there is one unless rows came from different runs."""
    counted = [row for row in rows if row.randomised]
    for draws in dict.fromkeys(row.randomised["draws"] for row in counted):
        members = (row for row in counted if row.randomised["draws"] == draws)
        lines = tuple((row, tuple(_share(row.randomised, name) for name in _COUNTS.values())) for row in members)
        yield Apart(title=f"Accuracy over {draws} fresh draws", heads=tuple(_COUNTS), lines=lines)


def _past_detector(rows: Sequence[Row]) -> Iterator[Apart]:
    """One table for each set of clean images that false positives were measured on.

    A random detector has as many rates of false positives as there are rows, and those are a column.
    """
    judged = [row for row in rows if row.rejection]
    for clean, held_out in dict.fromkeys((row.rejection["clean"], row.rejection["held_out"]) for row in judged):
        members = [row for row in judged if (row.rejection["clean"], row.rejection["held_out"]) == (clean, held_out)]
        rates = list(dict.fromkeys(rate for row in members for rate in row.rejection.get("success_at", {})))
        alarms = [_share(row.rejection, "false_positives") for row in members]
        same = len(set(alarms)) == 1
        where = "that were not attacked" if held_out else "that were attacked themselves"
        yield Apart(
            title="Past the detector",
            heads=("accepted", *(f"SR@{rate.rstrip('%')}" for rate in rates), *(() if same else ("false positives",))),
            lines=tuple(
                (row, (*_accepted(row.rejection, rates), *(() if same else (alarm,))))
                for row, alarm in zip(members, alarms, strict=True)
            ),
            note=f"{_ACCEPTED} {_AT_RATES if rates else ''}".rstrip()
            + f" False positives: {alarms[0] + ' ' if same else ''}of {clean} clean inputs {where}.",
        )


def _accepted(figures: Mapping[str, Any], rates: Sequence[str]) -> tuple[str, ...]:
    """The share that passes the detector as it is, and at each of ``rates``."""
    at = figures.get("success_at", {})
    return (percent(figures["joint"]), *(percent(at[rate]) if rate in at else "" for rate in rates))


def _share(figures: Mapping[str, Any], name: str) -> str:
    """A share with its interval."""
    low, high = figures[f"{name}_interval"]
    return f"{percent(figures[name])} [{100 * low:.1f}, {100 * high:.1f}]"
