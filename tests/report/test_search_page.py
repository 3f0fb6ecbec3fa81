"""The page of a search: the verdict first, what runs the sentences, what was found where, and every trial."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import made_searches
import pytest
from html_page import Page
from made_searches import FIRST, PLACES, SECOND

from advplug.composition.handover import command_of, python_of
from advplug.records.composition import Place, Sentence
from advplug.report import search_words as words
from advplug.report import write_search_report
from advplug.report.search_drawing import WIDTH, alternative, boxes, drawing
from advplug.report.search_page import render, search_markdown
from advplug.report.search_trials import OTHER, best_so_far, gradients, trials_picture
from advplug.report.style import PALETTE

SEARCH = made_searches.search()


def test_the_page_and_the_text_are_written_whole(tmp_path: Path) -> None:
    path = write_search_report(SEARCH, tmp_path)
    assert path == tmp_path / "search.html"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["search.html", "search.md"]
    page = Page(path.read_text(encoding="utf-8"))
    assert page.headings == [
        "What is left", "Sentence 1 of 2", "Sentence 2 of 2", "What the trace found", "Trials", "Best trials",
    ]  # fmt: skip
    assert all(reference.startswith(("data:", "#")) for reference in page.references)


def test_the_verdict_gives_what_is_left_of_all_and_of_the_half_that_the_choice_has_not_seen() -> None:
    said = words.verdict(SEARCH)
    assert said == (
        "mine:Model under linf:0.2: 96.9 % accuracy without an attack, 53.1 % after standard, 3.1 % after the 2 "
        "sentences that the search found. On the half that it did not choose on: 56.2 % after standard, 6.2 % after "
        "the search."
    )
    assert words.cost(SEARCH) == (
        "24 trials, 2,700 passes per sample, 2.7 times the 1,000 of standard; 81.5 seconds, standard 30.2."
    )
    text = render(SEARCH)
    order = [text.index(part) for part in (said, "Two classes have no sample.", "held-out half", "2.7 x", "Sentence 1")]
    assert order == sorted(order)
    assert words.left_lines(SEARCH)[1] == (
        "held-out half", "16", "93.8 % [71.7, 98.9]", "56.2 % [33.2, 76.9]", "6.2 % [1.1, 28.3]",
    )  # fmt: skip


def test_nothing_found_is_an_answer() -> None:
    search = made_searches.nothing()
    assert words.verdict(search).endswith("50.0 % after standard. The search found nothing better than standard.")
    why = "standard breaks all samples: there was nothing left to search for."
    search = replace(search, trials=(), remark=why)
    assert words.verdict(search).endswith(f"after standard. {why}")
    text = render(search)
    assert text.count(why) == 1
    assert "Sentence" not in text
    assert "Nothing: every module passes its gradient on" in text
    assert "No sentence was tried" in text


def test_a_sentence_is_read_in_its_four_choices() -> None:
    assert words.choices(FIRST) == [
        ("attack", "pgd (steps=50, rule=sign)"),
        ("loss", "margin"),
        ("gradient", "eot:8 of traced:quantise"),
        ("criterion and targets", "the 3 likeliest other classes in turn"),
    ]
    assert words.choices(SECOND)[0] == ("attack", "apgd, 2 independent runs")
    assert words.choices(SECOND)[1:] == [
        ("loss", "its own"), ("gradient", "eot:8"), ("criterion and targets", "any other class"),
    ]  # fmt: skip


def test_each_sentence_comes_with_what_runs_it() -> None:
    page, text = unescape(render(SEARCH)), search_markdown(SEARCH)
    for sentence in (FIRST, SECOND):
        for code in (command_of(sentence, SEARCH), python_of(sentence, SEARCH)):
            assert code in page
            assert code in text


def test_the_gradient_is_drawn_up_to_where_it_dies() -> None:
    (whole,) = boxes(PLACES)
    assert [(box.name, box.arrives, box.leaves) for box in whole.inner] == [
        ("quantise", "changed", "none"),
        ("net", "exact", "changed"),
        ("vote", "exact", "exact"),
    ]
    assert [place.kind for place in whole.inner[0].places] == ["dead", "whole numbers"]
    assert [(box.name, box.leaves) for box in whole.inner[1].inner] == [("net.act", "changed")]
    assert (whole.arrives, whole.inside, whole.leaves) == ("exact", "none", "none")


def test_what_dies_somewhere_inside_a_module_dies_above_what_is_known_to_be_inside() -> None:
    (whole,) = boxes((
        Place(kind="scores", module="layers", type="Sequential"), Place(kind="dead", module="", type="Net"),
    ))  # fmt: skip
    assert (whole.inside, whole.leaves) == ("exact", "none")
    assert [(box.arrives, box.leaves) for box in whole.inner] == [("exact", "exact")]


def test_the_drawing_is_valid_and_says_in_words_what_it_shows() -> None:
    svg = ElementTree.fromstring(drawing(PLACES))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == alternative(PLACES)
    assert "quantise: dead: its input's gradient is 0 <here> & now" in alternative(PLACES)
    texts = " ".join(text.text or "" for text in svg.iter("text"))
    for place in PLACES:
        assert (place.module or "the whole model") in texts
        assert all(word in texts for word in place.note.split())
    height = float((svg.get("viewBox") or "").split()[3])
    assert all(float(one.get("y") or 0) <= height for one in svg.iter("text"))
    assert all(float(one.get("x") or 0) + float(one.get("width") or 0) <= WIDTH for one in svg.iter("rect"))
    long = Place(kind="dead", module="a." * 60, type="B" * 60, note="word " * 60)
    lines = [text.text or "" for text in ElementTree.fromstring(drawing((long,))).iter("text")]
    assert max(map(len, lines)) <= 41
    deep = tuple(replace(long, module=".".join("abcdefghij"[:depth])) for depth in range(10))
    ElementTree.fromstring(drawing(deep))
    assert drawing(()) == ""


def test_every_trial_is_drawn_and_the_best_are_listed() -> None:
    picture = trials_picture(SEARCH)
    assert picture.figure is not None
    (axes,) = picture.figure.axes
    drawn = {(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == "None"}
    assert {(one.number, 100 * one.broken) for one in SEARCH.trials} <= drawn
    assert "trial 11, which broke 68.8 % (pgd(steps=50, rule=sign) on margin" in picture.alt
    assert "Vertical lines" in picture.caption
    listed = words.best(SEARCH)
    assert [(one.part, one.number) for one in listed[::6]] == [(1, 11), (2, 23)]
    assert len(listed) == words.BEST
    assert words.trial_lines(SEARCH)[0] == (
        "11", "1", "pgd (steps=50, rule=sign)", "margin", "eot:8 of traced:quantise",
        "the 3 likeliest other classes in turn", "16", "68.8 %", "0.312", "100", "yes",
    )  # fmt: skip


def test_what_could_not_run_says_why() -> None:
    one, *others = SEARCH.trials
    failed = replace(one, reason="NoGradient: the model gives none", broken=0.0, samples=16, part=3)
    search = replace(SEARCH, trials=(*others, failed))
    assert words.cost(search).startswith("24 trials, of which 1 could not run, 2,700 passes")
    assert "NoGradient: the model gives none" in render(search)
    assert "NoGradient: the model gives none" in search_markdown(search)


def test_the_best_so_far_never_compares_different_numbers_of_samples() -> None:
    one, *_ = SEARCH.trials
    part = [
        replace(one, number=number, samples=samples, broken=share)
        for number, samples, share in ((0, 4, 1.0), (1, 4, 0.5), (2, 8, 0.25), (3, 4, 0.75), (4, 8, 0.5))
    ]
    assert best_so_far(part) == [(0, 100.0), (1, 100.0), (2, 25.0), (3, 25.0), (4, 50.0)]


def test_more_gradients_than_colours_share_one() -> None:
    one, *_ = SEARCH.trials
    many = tuple(
        replace(one, number=number, sentence=Sentence(attack="pgd", gradient=f"eot:{number}")) for number in range(20)
    )
    assert len(set(gradients(many).values())) == len(PALETTE)
    picture = trials_picture(made_searches.search(trials=many))
    assert picture.figure is not None
    labels = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert OTHER in labels
    assert "eot:19" not in labels


@pytest.mark.parametrize("name", ["<script>", "a & b", 'say "x"'])
def test_what_users_named_is_escaped(name: str) -> None:
    search = made_searches.search(model=name, places=(Place(kind="dead", module=name, type=name, note=name),))
    text = render(search)
    Page(text)
    assert "<script" not in text


def test_the_text_holds_what_the_page_holds() -> None:
    text = search_markdown(SEARCH)
    for part in (words.verdict(SEARCH), words.HALVES):
        assert part in text
    assert "| quantise | Quantise | dead | its input" in text
    assert "| 11 | 1 | pgd (steps=50, rule=sign) |" in text
