"""Searches without a model: records made up for tests of what is done with them."""

from __future__ import annotations

from typing import Any

from advplug.records.composition import Composition, Left, Place, Sentence, Trial

FIRST = Sentence(
    attack="pgd",
    settings={"steps": 50, "rule": "sign"},
    loss="margin",
    gradient="eot:8 of traced:quantise",
    targets="3",
)
SECOND = Sentence(attack="apgd", gradient="eot:8", restarts=2)

PLACES = (
    Place(kind="random", module="", type="Guard", note="two passes differ by up to 0.3"),
    Place(kind="dead", module="quantise", type="Quantise", note="its input's gradient is 0 <here> & now"),
    Place(kind="whole numbers", module="quantise", type="Quantise"),
    Place(kind="replaced", module="net.act", type="Clip", note="a custom backward gives what no difference confirms"),
    Place(kind="scores", module="net", type="Sequential", note="(n, 10)"),
    Place(kind="vote", module="vote", type="Vote"),
)


def trials() -> tuple[Trial, ...]:
    """Two parts of twelve trials on 4, 8 and 16 samples, with three gradients."""
    gradients = ("exact", "eot:8", "eot:8 of traced:quantise")
    found = []
    for number in range(24):
        sentence = FIRST if number in (11, 9) else Sentence(attack="pgd", gradient=gradients[number % 3], loss="margin")
        share = (number % 12) / 16 if sentence.gradient != "exact" else 0.0
        samples = (4, 8, 16)[(number % 12) // 4]
        found.append(
            Trial(
                number=number, part=1 + number // 12, sentence=sentence, samples=samples, broken=share,
                margin=1 - share, queries=100.0, seconds=0.2, kept=number % 4 == 3,
            )
        )  # fmt: skip
    return tuple(found)


def search(**fields: Any) -> Composition:
    """One that found two sentences after 24 trials."""
    values: dict[str, Any] = {
        "model": "mine:Model",
        "data": "mnist:shipped",
        "threat": "linf:0.2",
        "seed": 3,
        "places": PLACES,
        "trials": trials(),
        "sentences": (FIRST, SECOND),
        "chosen_on": Left(samples=16, clean=1.0, standard=0.5, search=0.0),
        "held_out": Left(samples=16, clean=0.9375, standard=0.5625, search=0.0625),
        "together": Left(samples=32, clean=0.96875, standard=0.53125, search=0.03125),
        "queries": 2700.0,
        "standard_queries": 1000.0,
        "seconds": 81.5,
        "standard_seconds": 30.25,
        "remark": "Two classes have no sample.",
        "options": {"limit": "32"},
    }
    return Composition(**{**values, **fields})


def nothing(**fields: Any) -> Composition:
    """One that found nothing better than standard."""
    left = Left(samples=16, clean=1.0, standard=0.5, search=0.5)
    groups = dict.fromkeys(("chosen_on", "held_out", "together"), left)
    return search(**{**groups, "sentences": (), "places": (), "remark": "", **fields})
