"""The record of a search, and its JSON."""

from __future__ import annotations

import json

import pytest

from advplug.errors import InvalidInput
from advplug.records.composition import Composition, Left, Place, Sentence, Trial

SENTENCE = Sentence(attack="pgd", settings={"steps": 50}, loss="margin", gradient="eot:8 of traced", targets="3")
LEFT = Left(samples=4, clean=1.0, standard=0.5, search=0.25)
RECORD = Composition(
    model="mine:Model",
    data="mnist",
    threat="linf:0.2",
    seed=0,
    places=(Place(kind="dead", module="quantise", type="Quantise"),),
    trials=(
        Trial(
            number=0, part=1, sentence=SENTENCE, samples=2, broken=0.5, margin=-0.1, queries=100, seconds=0.2, kept=True
        ),
    ),
    sentences=(SENTENCE,),
    chosen_on=LEFT,
    held_out=LEFT,
    together=LEFT,
    queries=200.0,
    standard_queries=100.0,
    seconds=2.0,
    standard_seconds=1.0,
)


def test_json_gives_the_record_back() -> None:
    assert Composition.from_json(json.loads(json.dumps(RECORD.to_json()))) == RECORD


def test_another_version_is_refused() -> None:
    with pytest.raises(InvalidInput, match="another version of advplug: search again"):
        Composition.from_json({**RECORD.to_json(), "format": 0})


def test_a_sentence_reads_as_one() -> None:
    assert str(SENTENCE) == "pgd(steps=50) on margin, gradient eot:8 of traced, towards 3 likeliest classes"
    assert str(Sentence(attack="square")) == "square on its own loss, gradient exact, towards any other class"
