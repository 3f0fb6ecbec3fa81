"""On shipped digits: the stand-in breaks JPEG, and what looked removed was only not aimed at."""

from __future__ import annotations

from dataclasses import replace

import pytest
from advplug_attack_pgd import PGD
from advplug_defense_input_transformations import JPEG, InputTransformations, InputTransformed

from advplug import load, run
from advplug.errors import NoGradient
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.gradients import BPDA
from advplug.threat import ThreatModel


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    job = case_job("input-transformations", preset="mnist-median", limit=20)
    left_out = ("adversarial-robustness-toolbox", "standard")
    kept = [recipe for recipe in job.recipes if not {recipe.library, recipe.name} & set(left_out)]
    return evaluate(replace(job, recipes=tuple(kept)))


def test_an_attack_through_the_transformation_leaves_less_than_one_around_it(evaluation: Evaluation) -> None:
    oblivious, control, adaptive = (row.robust_accuracy for row in evaluation.rows)
    assert adaptive <= oblivious
    assert adaptive <= control + 0.05
    assert evaluation.broken


def test_bpda_finds_what_the_exact_gradient_cannot() -> None:
    digits = load("data:mnist")().load("shipped", 30)
    model = InputTransformed(load("defense:adversarial-training")().build("mnist"), JPEG(75))
    threat = ThreatModel("linf", 0.2)
    found = run(PGD(steps=20), model, digits.inputs, digits.labels, threat, gradient=BPDA())
    assert found.robust_accuracy <= 0.2
    with pytest.raises(NoGradient):
        run(PGD(steps=1), model, digits.inputs, digits.labels, threat)


def test_recipes_average_where_the_preset_is_random_and_skip_where_it_has_no_gradient() -> None:
    case, defense = load("adaptive:input-transformations")(), InputTransformations()
    for preset, words in {
        "mnist": "BPDA, EOT(10), margin",
        "mnist-pad": "exact gradient, EOT(10), margin",
        "mnist-tv": "BPDA, EOT(2), margin",
        "mnist-quilting-retrained": "BPDA, EOT(2), margin",
        "mnist-jpeg": "BPDA, margin",
        "mnist-median": "exact gradient, margin",
    }.items():
        recipe = case.recipes(preset, defense.presets[preset].threat, defense.build(preset))[-1]
        assert recipe.name == words
        assert (recipe.published is None) == (preset in ("mnist", "mnist-pad", "mnist-median"))
