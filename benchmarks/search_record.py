"""What the benchmarks of the search write, one JSON line for each model and part, and the tables of them."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from advplug.records.composition import Composition

Line = Mapping[str, Any]

SAMPLES = 50
"""How many a model is measured on unless its line says otherwise."""


class Records:
    """The lines of one file: what is there already is not measured again."""

    def __init__(self, file: Path) -> None:
        self.file = file
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        self.lines: list[Line] = [json.loads(line) for line in text.splitlines()]

    def has(self, name: str, part: str) -> bool:
        return any((line["name"], line["part"]) == (name, part) for line in self.lines)

    def add(self, name: str, part: str, measure: Callable[[], Mapping[str, Any]]) -> None:
        """Write what ``measure`` returns, or the error that it raises: one model must not end a run of hours."""
        start = time.perf_counter()
        try:
            found = measure()
        except Exception as error:
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        line = {"name": name, "part": part, **found, "took": round(time.perf_counter() - start, 1)}
        self.lines.append(line)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def of(self, name: str) -> dict[str, Any]:
        """All that is known of one model; an error of a part as ``PART error``."""
        values: dict[str, Any] = {}
        for line in self.lines:
            if line["name"] == name:
                values |= {f"{line['part']} {key}" if key in ("error", "took") else key: line[key] for key in line}
        return values

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they were measured."""
        return tuple(dict.fromkeys(line["name"] for line in self.lines))


def searched(found: Composition) -> dict[str, Any]:
    """What a table shows of a search, and what a reader wants to know besides."""
    return {
        "clean": found.together.clean,
        "standard": found.together.standard,
        "search": found.together.search,
        "chosen_on": found.chosen_on.search,
        "other_half": found.held_out.search,
        "sentences": [str(sentence) for sentence in found.sentences],
        "places": [f"{place.kind} {place.module}" for place in found.places],
        "trials": len(found.trials),
        "seconds": round(found.seconds, 2),
        "times": round(found.seconds / max(found.standard_seconds, 1e-9), 2),
        "passes": round(found.queries / max(found.standard_queries, 1.0), 2),
        "remark": found.remark,
    }


def label(line: Line) -> str:
    """The name of a model, with the number of samples where it is not the usual one, and a dagger for an older line."""
    few = f" ({line['samples']} samples)" if line.get("samples", SAMPLES) != SAMPLES else ""
    return f"{line['name']}{few}{' †' if line.get('earlier') else ''}"


def percent(share: float | None) -> str:
    """Without decimals, and a dash for what was not measured."""
    return "-" if share is None else f"{100 * share:.0f}"


def table(records: Records, names: Iterable[str]) -> str:
    """One row for each model, as Markdown."""
    rows = [
        "| model | clean | PGD | standard | search | of the other half | time / standard | passes / standard | found |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        line = records.of(name)
        shares = [percent(line.get(key)) for key in ("clean", "pgd", "standard", "search", "other_half")]
        times = [f"{line[key]:.1f}" if key in line else "-" for key in ("times", "passes")]
        rows.append(f"| {' | '.join([label(line), *shares, *times, said(line)])} |")
    return "\n".join(rows)


def said(line: Line) -> str:
    """The sentences that were found, or why there are none."""
    if "search error" in line:
        return f"error: {line['search error']}".replace("|", "/")
    return "; then ".join(line.get("sentences", ())) or line.get("remark", "-") or "-"


def halved(records: Records, names: Iterable[str]) -> str:
    """How many models each attack brings below half of their clean accuracy, the rule of AutoAdvExBench."""
    lines = [line for line in map(records.of, names) if "search" in line and "standard" in line]
    counts = [
        sum(line.get(attack) is not None and line[attack] < line["clean"] / 2 for line in lines)
        for attack in ("pgd", "standard", "search")
    ]
    return " | ".join(f"{count} of {len(lines)} ({percent(count / max(len(lines), 1))} %)" for count in counts)
