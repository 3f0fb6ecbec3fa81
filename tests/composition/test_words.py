"""Which suite and which words a search starts with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from searched_models import Behind, images, problem_of, rounded

from advplug import ThreatModel, search
from advplug.composition import Searching
from advplug.composition.words import SPARSE_SUITE, suite_of, words_of
from advplug.engine.problem import make_problem
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager, using
from advplug.tracing.examine import examine

SPARSE = ThreatModel("l0", 4)


def test_a_search_under_l0_starts_with_attacks_that_work_there() -> None:
    data = images()
    found = search(Behind(rounded), (data.inputs, data.labels), SPARSE, trials=8, sentences=1, run_dir=None)
    assert found.together.search <= found.together.standard
    assert found.together.search < found.together.clean
    assert found.sentences or found.remark


def test_its_suite_and_its_words_are_those_of_the_norm() -> None:
    data = images()
    problem = make_problem(Behind(rounded), data.inputs, data.labels, SPARSE)
    assert tuple(stage.name for stage in suite_of(problem)) == SPARSE_SUITE
    assert {"pgd", "fmn", "cw-l0"} <= set(words_of(problem, examine(problem)).attacks)


def test_without_any_of_them_the_error_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = images()
    problem = make_problem(Behind(rounded), data.inputs, data.labels, SPARSE)
    monkeypatch.setenv("ADVPLUG_PLUGINS", "")
    with using(Manager()), pytest.raises(InvalidInput, match="starts with pgd, fmn, pdpgd: install at least one"):
        suite_of(problem)


def test_backward_passes_of_the_examination_are_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the samples that stood when it took place."""
    search_of = Searching(trials=4, sentences=1, steps=4)
    before = run_attack(search_of, problem_of(Behind(rounded)))
    more = 24 * 100
    monkeypatch.setattr(
        "advplug.composition.sequence.examine",
        lambda problem: replace(examine(problem), backwards=examine(problem).backwards + more),
    )
    after = run_attack(search_of, problem_of(Behind(rounded)))
    added = (after.backwards - before.backwards).tolist()
    standing = sum(number > 0 for number in added)
    assert standing
    assert set(added) <= {0, more // standing, more // standing + 1}


@pytest.mark.parametrize(("threat", "example"), [("linf:min", "linf:0.3"), ("l0:min", "l0:20")])
def test_without_a_budget_the_error_says_what_to_give(threat: str, example: str) -> None:
    data = images()
    with pytest.raises(InvalidInput, match=f"search needs a budget: give one, such as .*{example}"):
        search(Behind(), (data.inputs, data.labels), threat)
