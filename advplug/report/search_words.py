"""A search in words: the verdict, the sentences that it found, and what runs them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

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
_FEW = 1e-9


def verdict(search: Composition) -> str:
    """The result in a few sentences."""
    whole, held = search.together, search.held_out
    start = (
        f"{search.model} under {search.threat}: {percent(whole.clean)} accuracy without an attack, "
        f"{percent(whole.standard)} after standard"
    )
    if not search.sentences:
        nothing = "Standard breaks all: there was nothing to search for."
        if whole.standard > _FEW:
            nothing = "The search found nothing better than standard."
        return f"{start}. {nothing}"
    return (
        f"{start}, {percent(whole.search)} after the {_sentences(search)} that the search found. On the half that it "
        f"did not choose on: {percent(held.standard)} after standard, {percent(held.search)} after the search."
    )


def cost(search: Composition) -> str:
    """What it took, beside standard."""
    tried = len(search.trials)
    said = f"{tried} trial{'s' * (tried != 1)}, {search.queries:,.0f} passes per sample"
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


def command(search: Composition, sentence: Sentence) -> str:
    """The command line that runs ``sentence`` on the samples of the search."""
    words = ["advplug", "evaluate", search.model]
    words += [word for name, text in _options(search, sentence) for word in (name, text)]
    return shlex.join(words)


def python(search: Composition, sentence: Sentence) -> str:
    """The same in Python."""
    settings = dict(sentence.settings)
    attack = f"({sentence.attack!r}, {settings!r})" if settings else repr(sentence.attack)
    arguments = [repr(search.model), repr(search.data) if search.data else "None", repr(search.threat)]
    arguments.append(f"attacks={attack}")
    if sentence.loss is not None:
        arguments.append(f"losses={sentence.loss!r}")
    if sentence.gradient != "exact":
        arguments.append(f"gradients={sentence.gradient!r}")
    if sentence.targets is not None:
        arguments.append(f"targets={sentence.targets!r}")
    if sentence.restarts > 1:
        arguments.append(f"restarts={sentence.restarts}")
    arguments += [f"limit={search.together.samples}", f"seed={search.seed}"]
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return f"from advplug import evaluate\n\nevaluate(\n{lines})"


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
            "yes" if one.kept else "",
        )
        for one in best(search)
    ]


def _options(search: Composition, sentence: Sentence) -> Sequence[tuple[str, str]]:
    found = [("--data", search.data)] if search.data else []
    found += [("--threat", search.threat), ("--attacks", sentence.attack)]
    found += [("--set", f"{sentence.attack}.{name}={_written(value)}") for name, value in sentence.settings.items()]
    found += [("--losses", sentence.loss)] if sentence.loss is not None else []
    found += [("--gradients", sentence.gradient)] if sentence.gradient != "exact" else []
    found += [("--targets", sentence.targets)] if sentence.targets is not None else []
    found += [("--restarts", str(sentence.restarts))] if sentence.restarts > 1 else []
    return [*found, ("--limit", str(search.together.samples)), ("--seed", str(search.seed))]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


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
