"""An evaluation in words and formatted figures, for the page, the terminal and Markdown alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from advplug.evaluation.diagnostics.intervals import wilson
from advplug.evaluation.diagnostics.signs import percent
from advplug.numerics.written_numbers import written
from advplug.records.evaluation import Evaluation, Row
from advplug.report import together

SHORT = {"adversarial-robustness-toolbox": "ART"}
"""Distributions that are better known, and shorter, by another name."""

NOTE = (
    "Samples that were wrong before the attack count as lost. Every success was verified by a fresh decision on the "
    "returned input. Brackets: 95 % Wilson interval. Queries and gradients: mean passes per attacked sample."
)


_SEARCHES = "Auto("
"""How the components of an attack start that runs the suite and then searches."""

_SENTENCE = "search "
"""How the names of its stages start that a search found."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table, formatted; empty where there is nothing to say.

    ``smaller`` has the accuracy at each smaller budget of a sweep, ``full`` the queries at the full one alone; ``note``
    numbers the source.
    """

    role: str
    name: str
    library: str = ""
    accuracy: str
    interval: str
    smaller: tuple[str, ...] = ()
    detected: str = ""
    distances: tuple[str, ...] = ()
    queries: str = ""
    full: str = ""
    gradients: str = ""
    seconds: str = ""
    published: str = ""
    note: int | None = None


def strongest_baseline(evaluation: Evaluation) -> Row | None:
    """The baseline that leaves the least accuracy, None without baselines."""
    rows = [row for row in evaluation.rows if row.role == "baseline"]
    return min(rows, key=_strength, default=None)


def strongest(evaluation: Evaluation) -> Row | None:
    """The adaptive attack that leaves the least; without adaptive attacks, any attack that does."""
    adaptive = [row for row in evaluation.rows if row.role == "adaptive"]
    return min(adaptive or evaluation.rows, key=_strength, default=None)


def _strength(row: Row) -> tuple[float, float]:
    """What is left, then how far the attack had to go: the strongest has the least."""
    return row.robust_accuracy, math.inf if row.median_distance is None else row.median_distance


def is_case(evaluation: Evaluation) -> bool:
    """Whether an attack adapted to the defense was run, so that there is a verdict."""
    return any(row.role == "adaptive" for row in evaluation.rows)


def subject(evaluation: Evaluation) -> str:
    """Case and preset."""
    return evaluation.case + (f" (preset {evaluation.preset})" if evaluation.preset else "")


def verdict(evaluation: Evaluation) -> str:
    """The result in a sentence or two, and what could not run."""
    missing = [
        finding.message
        for finding in evaluation.findings
        if finding.name == "no-gradient" and finding.status in ("warn", "fail")
    ]
    return " ".join((_result(evaluation), *_gained(evaluation), *missing))


def _gained(evaluation: Evaluation) -> list[str]:
    """What all attacks together break beyond the strongest, in a sentence."""
    best, left = strongest(evaluation), together.accuracy(evaluation)
    if best is None or left is None or distance_columns(evaluation) or left > best.robust_accuracy - 1e-9:
        return []
    return [f"All attacks together, the best on each sample, leave {percent(left)}."]


def _result(evaluation: Evaluation) -> str:
    best, baseline = strongest(evaluation), strongest_baseline(evaluation)
    if distance_columns(evaluation) and not is_case(evaluation):
        return _nearest(evaluation)
    start = f"{subject(evaluation)} under {evaluation.threat}"
    clean = f"{percent(evaluation.clean_accuracy)} accuracy without an attack"
    if best is None:
        return f"{start}: {clean}; no attack was run."
    left = f"{percent(best.robust_accuracy)} under the"
    if not is_case(evaluation):
        return (
            f"{start}: {clean}, {left} strongest attack run ({best.name}). None was adapted to this model: "
            "its robust accuracy is at most that."
        )
    before = ""
    if baseline is not None:
        before = f"{percent(baseline.robust_accuracy)} under the strongest baseline ({baseline.name}), "
        whole = evaluation.baseline_accuracy
        if whole is not None and whole < baseline.robust_accuracy - 1e-9:
            before += f"{percent(whole)} under all baselines together, "
    word = "broken" if evaluation.broken else "not broken"
    name = best.name + _within(best, evaluation)
    said = f"{start} is {word}: {clean}, {before}{left} adaptive attack ({name})."
    return said + _voted(evaluation) + _alone(evaluation)


def _within(best: Row, evaluation: Evaluation) -> str:
    """How far the adaptive attack of a minimum-norm run went."""
    if not distance_columns(evaluation) or best.median_distance is None:
        return ""
    return f"; half of its successes are at most {best.median_distance:.4g} away"


def _voted(evaluation: Evaluation) -> str:
    """What a random model gets right by majority, in a sentence with a space before it."""
    kept = evaluation.majority_accuracy
    return "" if kept is None else f" The majority of fresh draws is right on {percent(kept)} of the samples."


def _alone(evaluation: Evaluation) -> str:
    """What a control found out about the network without the defense, in a sentence with a space before it."""
    alone = evaluation.undefended_accuracy
    if alone is None:
        return ""
    kept = f" The network alone, without the defense, keeps {percent(alone)}"
    distance = evaluation.undefended_distance
    return f"{kept}." if distance is None else f"{kept}; there half of the successes are at most {distance:.4g} away."


def _nearest(evaluation: Evaluation) -> str:
    """The result of a minimum-norm run in a sentence."""
    start = f"{subject(evaluation)} under {evaluation.threat}"
    clean = f"{percent(evaluation.clean_accuracy)} accuracy without an attack"
    best = strongest(evaluation)
    if best is None or best.median_distance is None:
        return f"{start}: {clean}; no attack found a perturbation."
    return (
        f"{start}: {clean}; half of the perturbations that {best.name} found are at most {best.median_distance:.4g}. "
        "The true distance of a sample is at most what any attack finds."
    )


def sources(evaluation: Evaluation) -> list[str]:
    """Where the published figures stand, in the order of their numbers, which start at 1."""
    return list(dict.fromkeys(row.source for row in evaluation.rows if row.source and row.published is not None))


def lines(evaluation: Evaluation) -> list[Line]:
    """The table: accuracy without an attack, then one line for each attack."""
    notes = {source: number for number, source in enumerate(sources(evaluation), 1)}
    empty = ("",) * len(distance_columns(evaluation))
    clean = Line(
        role="clean",
        smaller=(percent(evaluation.clean_accuracy),) * len(smaller_budgets(evaluation)),
        distances=empty[:2] + (percent(evaluation.clean_accuracy),) * len(empty[2:]),
        name="no attack",
        accuracy=percent(evaluation.clean_accuracy),
        interval=_brackets(evaluation.clean_accuracy, evaluation.samples),
        detected="" if evaluation.false_positives is None else percent(evaluation.false_positives),
    )
    return [clean, *(_line(row, evaluation, notes) for row in evaluation.rows), *_all_together(evaluation, empty)]


def cells(line: Line, evaluation: Evaluation) -> dict[str, str]:
    """The figures of a line by the heads of their columns, in their order; empty texts where there are none."""
    return {
        "accuracy": line.accuracy,
        "95 %": line.interval,
        **dict(zip(budget_columns(evaluation), line.smaller, strict=True)),
        **dict(zip(distance_columns(evaluation), line.distances, strict=True)),
        "detected": line.detected,
        "queries": line.queries,
        "at full": line.full,
        "gradients": line.gradients,
        "seconds": line.seconds,
        "published": line.published + (f" [{line.note}]" if line.note else ""),
    }


def _all_together(evaluation: Evaluation, empty: tuple[str, ...]) -> list[Line]:
    """The lines on the baselines and on all attacks together, where there are several of them."""
    return [
        Line(
            role="all",
            name=name,
            accuracy=percent(left),
            interval=_brackets(left, whole.samples),
            smaller=_smaller_together(whole, smaller_budgets(evaluation)),
            distances=_distances_together(whole) if empty else (),
        )
        for name, whole in groups(evaluation)
        if (left := together.accuracy(whole)) is not None
    ]


def groups(evaluation: Evaluation) -> list[tuple[str, Evaluation]]:
    """Names of several attacks that are taken together, and the evaluation with their rows alone."""
    baselines = tuple(row for row in evaluation.rows if row.role == "baseline")
    alone = [(together.BASELINES, replace(evaluation, rows=baselines))] if is_case(evaluation) else []
    return [pair for pair in (*alone, (together.SHORT, evaluation)) if len(together.attacks(pair[1])) > 1]


def _smaller_together(evaluation: Evaluation, budgets: tuple[float, ...]) -> tuple[str, ...]:
    """What they leave at each of the smaller ``budgets``, "" at those that not all of them ran at."""
    rows = together.attacks(evaluation)
    return tuple(
        percent(together.accuracy_at(rows, budget)) if all(budget in dict(row.sweep) for row in rows) else ""
        for budget in budgets
    )


def _distances_together(evaluation: Evaluation) -> tuple[str, ...]:
    """Median and mean of the least distances, and the accuracy at each budget that was asked about."""
    found = together.median_and_mean(evaluation)
    rows = together.attacks(evaluation)
    at = tuple(percent(together.accuracy_at(rows, budget)) for budget, _ in evaluation.rows[0].sweep)
    return (*(("", "") if found is None else (f"{span:.4g}" for span in found)), *at)


def role_of(row: Row, evaluation: Evaluation) -> str:
    """The role of a row; a baseline is one only beside an attack that was adapted."""
    return "attack" if row.role == "baseline" and not is_case(evaluation) else row.role


def distance_columns(evaluation: Evaluation) -> tuple[str, ...]:
    """Heads of the columns that a minimum-norm run adds; none for a run with a budget."""
    if evaluation.epsilon is not None:
        return ()
    budgets = next((row.sweep for row in evaluation.rows), ())
    return ("median", "mean", *(_at(budget) for budget, _ in budgets))


def smaller_budgets(evaluation: Evaluation) -> tuple[float, ...]:
    """The budgets of a sweep below the full one, ascending; none for minimum norm, whose distances have them."""
    if evaluation.epsilon is None:
        return ()
    return tuple(sorted({budget for row in evaluation.rows for budget, _ in row.sweep[:-1]}))


def budget_columns(evaluation: Evaluation) -> tuple[str, ...]:
    """Heads of the columns of :func:`smaller_budgets`."""
    return tuple(map(_at, smaller_budgets(evaluation)))


def _at(budget: float) -> str:
    return f"at {written(budget, digits=4)}"


def remarks(evaluation: Evaluation) -> list[str]:
    """What must stand beside the table for it to be read rightly."""
    found = [f"{evaluation.samples} samples. {NOTE}"]
    if not is_case(evaluation) and evaluation.rows:
        found.append("No attack was adapted to this model, so that none is a baseline for another.")
    if smaller_budgets(evaluation):
        found.append(
            "Every attack ran at each budget in turn, on what the smaller ones had left: queries counts the passes of "
            f"all budgets, and those at {written(evaluation.epsilon or 0)} alone stand apart."
        )
    if evaluation.false_positives is not None:
        found.append(
            f"The detector rejects {percent(evaluation.false_positives)} of the clean inputs; for attacks the column "
            "gives the share of attacked samples whose best input is misclassified but rejected."
        )
    if evaluation.clean_error_rate is not None:
        found.append(
            f"The model is stochastic: {percent(evaluation.clean_error_rate)} of its draws on clean inputs are wrong, "
            "and robust accuracy is the expectation over fresh draws."
        )
    for row in evaluation.rows:
        if row.stages:
            left = ", ".join(f"{name} {percent(accuracy)}" for name, accuracy in row.stages)
            found.append(f"{row.name}, accuracy after each stage: {left}.")
            found += _searched(row)
    if distance_columns(evaluation):
        found.append(
            "No budget: accuracy is the share that no perturbation was found for. Median and mean distance are those "
            "of the successes; at a budget, everything not broken within it counts as robust."
        )
    return found


def _searched(row: Row) -> list[str]:
    """What a row whose attack searches did on what the suite left, in a sentence; [] for another attack."""
    if not row.components.get("attack", "").startswith(_SEARCHES):
        return []
    suite = [left for name, left in row.stages if not name.startswith(_SENTENCE)]
    if not suite:
        return []
    broke = [
        name
        for (name, left), (_, before) in zip(row.stages[1:], row.stages, strict=False)
        if name.startswith(_SENTENCE) and left < before
    ]
    start = f"{row.name} ran the standard suite, which left {percent(suite[-1])}"
    if suite[-1] == 0:
        return [f"{start}: there was nothing to search for."]
    if not broke:
        return [f"{start}; no sentence that it tried on these broke more, which is no proof that none does."]
    text = "; ".join(name.partition(": ")[2] for name in broke)
    return [f"{start}, and searched there for what breaks more: {text}. That left {percent(row.stages[-1][1])}."]


def _line(row: Row, evaluation: Evaluation, notes: dict[str, int]) -> Line:
    return Line(
        role=role_of(row, evaluation),
        name=row.name,
        library=SHORT.get(row.library, row.library),
        accuracy=percent(row.robust_accuracy),
        interval=_brackets(row.robust_accuracy, evaluation.samples),
        detected="" if row.detected is None else percent(row.detected),
        smaller=_smaller(row, evaluation),
        distances=_distances(row) if distance_columns(evaluation) else (),
        queries=f"{row.queries:,.0f}",
        full=f"{row.queries_at[-1][1]:,.0f}" if row.queries_at else "",
        gradients=f"{row.gradients:,.0f}",
        seconds=f"{row.seconds:,.1f}",
        published="" if row.published is None else percent(row.published),
        note=notes.get(row.source or "") if row.published is not None else None,
    )


def _distances(row: Row) -> tuple[str, ...]:
    found = ("" if value is None else f"{value:.4g}" for value in (row.median_distance, row.mean_distance))
    return (*found, *(percent(accuracy) for _, accuracy in row.sweep))


def _smaller(row: Row, evaluation: Evaluation) -> tuple[str, ...]:
    left = dict(row.sweep)
    return tuple(percent(left[budget]) if budget in left else "" for budget in smaller_budgets(evaluation))


def _brackets(share: float, samples: int) -> str:
    low, high = wilson(share, samples)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"
