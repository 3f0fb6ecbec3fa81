"""On shipped digits: confidence passes the detector, and so does an attack that aims at all copies, from nearer."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from advplug_adaptive_feature_squeezing import SqueezedMargin
from advplug_attack_ead import EAD
from advplug_attack_pgd import PGD
from advplug_defense_feature_squeezing import FeatureSqueezing, Squeezed, distances

from advplug import load, run
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.evaluation import Evaluation, case_job, evaluate


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """EAD at the least and at a high confidence, and the adaptive attack, on few digits."""
    job = case_job("feature-squeezing", limit=15)
    kept = [
        replace(recipe, role="baseline") if recipe.name.endswith("confidence 10") else recipe
        for recipe in job.recipes
        if recipe.name.startswith(("DDN", "EAD")) and not recipe.name.endswith(("20", "40"))
    ]
    return evaluate(replace(job, recipes=tuple(kept)))


@pytest.fixture(scope="module")
def digits() -> Images:
    """The first nine, which the detector accepts; it rejects the tenth."""
    found: Images = load("data:mnist")().load("shipped", 9)
    return found


@pytest.fixture(scope="module")
def model() -> FeatureSqueezing:
    return cast(FeatureSqueezing, Squeezed().build("mnist"))


def test_confidence_alone_passes_and_the_adaptive_attack_is_nearer(evaluation: Evaluation) -> None:
    control, weak, confident, adaptive = evaluation.rows
    assert weak.robust_accuracy >= 0.6
    assert confident.robust_accuracy <= 0.2
    assert adaptive.robust_accuracy <= 0.05
    undefended, far, near = (row.median_distance or float("nan") for row in (control, confident, adaptive))
    assert near < 0.6 * far
    assert near < 1.5 * undefended
    assert evaluation.broken


def test_a_static_attack_is_judged_by_the_detector_and_never_sees_it(model: FeatureSqueezing, digits: Images) -> None:
    recipes = load("adaptive:feature-squeezing")().recipes("mnist", Squeezed.presets["mnist"].threat, model)
    static = next(recipe for recipe in recipes if recipe.name == "EAD on the network alone, confidence 20")
    assert (static.published, static.attack.attack.confidence) == (0.2, 20)
    alone = EAD(confidence=20, search_steps=2, steps=100, initial_c=1.0)
    short = replace(static.attack, attack=alone)
    one = run(short, model, digits.inputs, digits.labels, "l2:min")
    other = run(alone, model.classifier, digits.inputs, digits.labels, "l2:min")
    assert other.success.all()
    accepted = model.decide(other.adversarials).accepted
    assert 1 <= accepted.sum() <= 8
    assert torch.equal(one.success, accepted)
    torch.testing.assert_close(one.adversarials[accepted], other.adversarials[accepted])


def test_the_loss_is_the_mean_margin_and_what_exceeds_the_threshold(model: FeatureSqueezing, digits: Images) -> None:
    one_step = PGD(steps=1, random_start=False)

    def loss(of: SqueezedMargin) -> torch.Tensor:
        found: torch.Tensor = run(one_step, model, x, y, "linf:0.1", loss=of).trace[0]
        return found

    x, y = digits.inputs, digits.labels
    with torch.no_grad():
        logits, squeezed = model(x), model.squeezed(x)
        answers = torch.stack((logits, *squeezed))
        true = answers.gather(2, y.expand(3, -1)[..., None]).squeeze(2)
        gaps = true - answers.scatter(2, y.expand(3, -1)[..., None], -torch.inf).amax(2)
        excess = (distances(logits, squeezed) - model.detector.tau).clamp(min=0).sum(1)
    torch.testing.assert_close(loss(SqueezedMargin(weight=0.0)), gaps.clamp(min=-4).mean(0))
    torch.testing.assert_close(loss(SqueezedMargin(weight=7.0)), gaps.clamp(min=-4).mean(0) + 7 * excess)


def test_presets_with_a_budget_start_from_the_authors_attacks() -> None:
    case, defense = load("adaptive:feature-squeezing")(), Squeezed()
    threat = defense.presets["mnist-linf"].threat
    baselines = case.baselines("mnist-linf", threat)
    assert {recipe.library for recipe in baselines} == {"foolbox", "adversarial-robustness-toolbox"}
    assert {recipe.published for recipe in baselines} == {0.982}
    last = case.recipes("mnist-linf", threat, defense.build("mnist-linf"))[-1]
    assert last.loss == SqueezedMargin()


def test_the_loss_refuses_other_models(digits: Images) -> None:
    plain = load("defense:adversarial-training")().build("mnist")
    with pytest.raises(InvalidInput, match="FeatureSqueezing"):
        run(PGD(steps=1), plain, digits.inputs, digits.labels, "linf:0.1", loss=SqueezedMargin())
    with pytest.raises(InvalidInput, match="weight"):
        SqueezedMargin(weight=-1.0)
