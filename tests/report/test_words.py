"""Diagnostics, checklist and roles in words: nothing passes that nobody looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import pytest

from advplug.evaluation import Evaluation
from advplug.plugins.manager import Manager, using
from advplug.records.finding import Finding
from advplug.report.checklist import answers, checklist
from advplug.report.diagnoses import counted, diagnoses, status_of
from advplug.report.page import render
from advplug.report.summary import lines, remarks


@pytest.fixture
def made(tmp_path: Path) -> Evaluation:
    return made_evaluations.evaluation(tmp_path)


def finding(status: Any, number: str = "G1", **fields: Any) -> Finding:
    return Finding(**{"name": "a", "message": "seen", "status": status, "id": number, **fields})


def test_what_nobody_ran_is_said(made: Evaluation) -> None:
    bare = replace(made, findings=())
    found = diagnoses(bare)
    assert [(one.id, one.status) for one in found] == [(f"G{number}", "not-run") for number in range(1, 15)]
    assert counted(found) == "14 not run"
    with using(Manager(plugins=[])):
        text = render(bare)
    assert "No sign" not in text
    assert text.count("not a pass") == 14


def test_every_finding_has_a_line(made: Evaluation) -> None:
    many = finding("warn", "G5", samples=tuple(range(10)), figure=0.25, threshold=0.05, advice="More steps.")
    found = diagnoses(replace(made, findings=(finding("pass"), many, finding("fail", "G5"), finding("fail", ""))))
    assert counted(found) == "2 fail, 1 warn, 1 pass, 12 not run"
    five = [one for one in found if one.id == "G5"]
    assert [one.status for one in five] == ["warn", "fail"]
    assert five[0].figure == "0.25 (threshold 0.05)"
    assert five[0].samples == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert five[0].advice == "More steps."
    assert (found[-1].id, found[-1].title) == ("", "a")


def test_the_worst_status_of_a_diagnostic_counts(made: Evaluation) -> None:
    several = replace(made, findings=(finding("pass"), finding("warn"), finding("not-run")))
    assert status_of(several, "G1") == "warn"
    assert status_of(several, "G2") == "not-run"


def answer(evaluation: Evaluation, words: str) -> tuple[str, str]:
    (item,) = (item for item in checklist(evaluation) if words in item.question)
    return item.answer, item.reason


def with_rows(made: Evaluation, **rows: dict[str, Any]) -> Evaluation:
    built = (made_evaluations.row(name, "attack", **{"accuracy": 0.5, **fields}) for name, fields in rows.items())
    return replace(made, rows=tuple(built), findings=())


def test_the_checklist_says_what_it_does_not_know(made: Evaluation) -> None:
    bare = with_rows(made, pgd={"components": {"attack": "PGD(steps=3)"}, "published": None})
    assert {item.answer for item in checklist(bare)} == {"yes", "no", "not known", "does not apply"}
    assert len(checklist(bare)) == 20
    for words in ("larger budget", "more steps", "stand-in", "public", "other threats", "single step", "earlier ones"):
        assert answer(bare, words)[0] == "not known", words
    for words in ("adapted", "several kinds", "without gradients", "labels alone", "another model", "random starts"):
        assert answer(bare, words)[0] == "no", words
    assert answer(bare, "randomness")[0] == "does not apply"
    assert sum(map(int, (part.split()[0] for part in answers(bare).split(", ")))) == 20


def test_the_checklist_reads_the_record(made: Evaluation) -> None:
    assert answer(made, "adapted") == ("yes", "Adapted to the defense: strong.")
    both = with_rows(
        made,
        fgm={"components": {"attack": "FGM(steps=1, x=0)"}, "accuracy": 0.4},
        pgd={"components": {"attack": "FoolboxAttack(attack='LinfPGD', parameters={})", "restarts": "5"}},
        art={"components": {"attack": "ArtAttack(attack='ProjectedGradientDescent', parameters={})"}},
        square={"components": {"attack": "Square(queries=9)", "gradient": "BPDA(f)"}, "gradients": 0.0},
    )
    assert answer(both, "single step") == ("no", "pgd leaves 50.0 %, fgm 40.0 %.")
    assert answer(both, "several kinds") == ("yes", "3 kinds of attack: FGM, PGD, Square.")
    assert answer(both, "without gradients") == ("yes", "square.")
    assert answer(both, "random starts") == ("yes", "pgd 5.")
    assert answer(both, "stand-in")[0] == "yes"
    won = replace(both, findings=(finding("fail", "G8"), finding("pass", "G5"), finding("warn", "G7")))
    assert answer(won, "without gradients") == ("no", "square, and they win: gradients mislead.")
    assert answer(won, "more steps")[0] == "yes"
    assert answer(won, "large enough")[0] == "no"
    passed = replace(both, findings=(finding("pass", "G7"),))  # of budgets that were tried, which need not be large
    assert answer(passed, "large enough")[0] == "not known"
    random = replace(both, clean_error_rate=0.1)
    assert answer(random, "randomness")[0] == "no"


def test_budgets_have_to_break_more_and_more(made: Evaluation) -> None:
    falling = with_rows(made, pgd={"sweep": ((0.1, 0.8), (0.2, 0.6), (0.3, 0.5))})
    assert answer(falling, "larger budget")[0] == "yes"
    flat = with_rows(made, pgd={"sweep": ((0.1, 0.8), (0.2, 0.8), (0.3, 0.5))})
    assert answer(flat, "larger budget")[0] == "no"


def test_a_baseline_is_one_only_beside_an_adapted_attack(made: Evaluation) -> None:
    assert [line.role for line in lines(made)] == ["clean", "baseline", "adaptive", "all"]
    alone = replace(made, rows=(made.rows[0], made.rows[0]))
    assert [line.role for line in lines(alone)] == ["clean", "attack", "attack", "all"]
    assert "No attack was adapted to this model, so that none is a baseline for another." in remarks(alone)
    with using(Manager(plugins=[])):
        assert 'scope="col">Role' not in render(alone)
