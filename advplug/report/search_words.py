"""A search in words: the verdict, what is left, the sentences in their four choices, the trials."""

from __future__ import annotations

from advplug.evaluation.diagnostics.intervals import wilson
from advplug.evaluation.diagnostics.signs import percent
from advplug.records.composition import Composition, Left, Sentence, Trial

BEST = 12
"""Trials in the table."""

HALVES = (
    "Every sentence was chosen on the first half alone. What is left of the other half is the figure to quote: the "
    "choice has not seen it. Brackets: 95 % Wilson interval. Samples that were wrong before the attack count as lost."
)
_GROUPS = {"chosen_on": "half that the search chose on", "held_out": "held-out half", "together": "all samples"}
LEFT_HEAD = ("samples", "of them", "no attack", "standard", "search")


def verdict(search: Composition) -> str:
    """The result in a few sentences."""
    whole, held = search.together, search.held_out
    start = (
        f"{search.model} under {search.threat}: {percent(whole.clean)} accuracy without an attack, "
        f"{percent(whole.standard)} after standard"
    )
    if not search.sentences:
        return f"{start}. {search.remark or 'The search found nothing better than standard.'}"
    return (
        f"{start}, {percent(whole.search)} after the {_sentences(search)} that the search found. On the half that it "
        f"did not choose on: {percent(held.standard)} after standard, {percent(held.search)} after the search."
    )


def cost(search: Composition) -> str:
    """What it took, beside standard."""
    tried, failed = len(search.trials), sum(bool(one.reason) for one in search.trials)
    said = f"{tried} trial{'s' * (tried != 1)}" + (f", of which {failed} could not run" if failed else "")
    said += f", {search.queries:,.0f} passes per sample"
    if search.standard_queries > 0:
        said += f", {multiple(search)} times the {search.standard_queries:,.0f} of standard"
    said += f"; {search.seconds:,.1f} seconds"
    return said + (f", standard {search.standard_seconds:,.1f}." if search.standard_seconds > 0 else ".")


def multiple(search: Composition) -> str:
    """The passes of the whole search in those of standard, "" where standard took none."""
    return f"{search.queries / search.standard_queries:.1f}" if search.standard_queries > 0 else ""


def left_lines(search: Composition) -> list[tuple[str, str, str, str, str]]:
    """Group, number of samples, and what is left of them: without an attack, after standard, after the search."""
    return [(name, *_left(getattr(search, group))) for group, name in _GROUPS.items()]


def choices(sentence: Sentence) -> list[tuple[str, str]]:
    """The four choices, by name."""
    settings = ", ".join(f"{name}={value}" for name, value in sentence.settings.items())
    attack = f"{sentence.attack} ({settings})" if settings else sentence.attack
    runs = f", {sentence.restarts} independent runs" if sentence.restarts > 1 else ""
    likeliest = f"the {sentence.targets} likeliest other classes in turn"
    goals = {None: "any other class", "each": "each other class in turn"}
    return [
        ("attack", attack + runs),
        ("loss", sentence.loss or "its own"),
        ("gradient", sentence.gradient),
        ("criterion and targets", goals.get(sentence.targets, likeliest)),
    ]


def best(search: Composition) -> list[Trial]:
    """The trials that say most: for each sentence those on the most samples, of these what broke the larger share."""
    parts = sorted({one.part for one in search.trials})
    found = []
    for part in parts:
        own = [one for one in search.trials if one.part == part]
        own.sort(key=lambda one: (-one.samples, -one.broken, one.margin, one.number))
        found += own[: BEST // len(parts)]
    return found


def trial_lines(search: Composition) -> list[tuple[str, ...]]:
    """Of the best trials: number, for which sentence, the four choices, samples, share broken, margin, passes, kept."""
    return [
        (
            str(one.number),
            str(one.part),
            *(value for _, value in choices(one.sentence)),
            str(one.samples),
            percent(one.broken),
            f"{one.margin:.3g}",
            f"{one.queries:,.0f}",
            one.reason or ("yes" if one.kept else ""),
        )
        for one in best(search)
    ]


def _left(group: Left) -> tuple[str, str, str, str]:
    shares = (group.clean, group.standard, group.search)
    clean, standard, search = (f"{percent(share)} {_interval(share, group.samples)}" for share in shares)
    return str(group.samples), clean, standard, search


def _interval(share: float, samples: int) -> str:
    low, high = wilson(share, samples)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def _sentences(search: Composition) -> str:
    count = len(search.sentences)
    return "sentence" if count == 1 else f"{count} sentences"
