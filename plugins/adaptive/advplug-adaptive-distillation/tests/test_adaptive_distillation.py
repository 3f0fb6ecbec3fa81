"""The published effect on digits that ship: the cross-entropy has no gradient at any high temperature, logits have."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_distillation import advplug_report_sections
from advplug_adaptive_distillation._adaptive import KAPPAS
from advplug_adaptive_distillation._measures import SATURATED, correct, gaps, slopes
from advplug_attack_cw import CarliniWagnerL2, CarliniWagnerLinf
from advplug_attack_pgd import PGD

from advplug import load, run
from advplug.evaluation import Evaluation, case_job, evaluate
from advplug.losses import Margin, TemperedCrossEntropy


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """The case without its slow rows: transfer, and Carlini-Wagner."""
    job = case_job("distillation", limit=50)
    slow = [recipe for recipe in job.recipes if "Carlini-Wagner" in recipe.name]
    assert len(slow) == len(KAPPAS) + 1
    return evaluate(replace(job, recipes=tuple(recipe for recipe in job.recipes if recipe not in slow)))


def _left(evaluation: Evaluation, role: str) -> list[float]:
    """Robust accuracies of the rows of one role."""
    return [row.robust_accuracy for row in evaluation.rows if row.role == role]


def test_the_margin_breaks_what_every_baseline_calls_robust(evaluation: Evaluation) -> None:
    (adaptive,) = _left(evaluation, "adaptive")
    assert evaluation.clean_accuracy >= 0.95
    assert adaptive <= 0.02
    assert [row.library for row in evaluation.rows if row.role == "baseline"] == [
        "foolbox",
        "adversarial-robustness-toolbox",
    ] * 2
    assert min(_left(evaluation, "baseline")) >= 0.6
    assert _left(evaluation, "control") == [adaptive]
    assert evaluation.broken


def test_dividing_the_logits_is_enough(evaluation: Evaluation) -> None:
    suite, entropy, tempered = _left(evaluation, "intermediate")
    assert suite <= 0.02, "it does not stop at the cross-entropy"
    assert tempered <= 0.05
    assert entropy >= tempered + 0.3


@pytest.mark.parametrize("preset", ["mnist-plain", "paper"])
def test_without_an_undefended_network_there_is_no_transfer(preset: str) -> None:
    roles = [recipe.role for recipe in load("adaptive:distillation")().recipes(preset, None, None)]
    assert roles == ["intermediate"] * 4 + ["adaptive"]


@pytest.mark.parametrize("preset", ["mnist-t1", "mnist-t10", "mnist-t30", "mnist"])
def test_attacks_on_logits_break_every_temperature(preset: str) -> None:
    digits = load("data:mnist")().load("shipped", 20)
    model = load("defense:distillation")().build(preset)
    attacks = {
        "margin": (PGD(steps=40), Margin(), "linf:0.3"),
        "logits / 100": (PGD(steps=40), TemperedCrossEntropy(100), "linf:0.3"),
        "Carlini-Wagner": (CarliniWagnerL2(search_steps=4, steps=100), None, "l2:min"),
    }
    for name, (attack, loss, threat) in attacks.items():
        result = run(attack, model, digits.inputs, digits.labels, threat, loss=loss)
        assert result.robust_accuracy <= 0.05, name


def test_confidence_is_what_makes_examples_transfer() -> None:
    digits = load("data:mnist")().load("shipped", 20)
    defense = load("defense:distillation")()
    plain, student = defense.build("mnist-plain"), defense.build("mnist")
    kept = correct(plain, digits.inputs, digits.labels) & correct(student, digits.inputs, digits.labels)
    x, y = digits.inputs[kept], digits.labels[kept]
    reached = []
    for kappa in (0, 30):
        attack = CarliniWagnerL2(search_steps=5, steps=100, confidence=kappa)
        found = run(attack, plain, x, y, "l2:min").adversarials
        reached.append(1 - correct(student, found, y).double().mean().item())
    assert reached[1] >= max(0.5, 5 * reached[0] - 0.2)


def test_the_gradient_is_zero_where_the_logits_are_far_apart() -> None:
    digits = load("data:mnist")().load("shipped", 100)
    model = load("defense:distillation")().build("mnist")
    right = correct(model, digits.inputs, digits.labels)
    x, y = digits.inputs[right], digits.labels[right]
    lengths = slopes(model, x, y)
    assert (lengths == 0).double().mean() > 0.5
    assert not lengths[gaps(model, x) > SATURATED].any()
    assert (slopes(model, x, y, 100.0) > 0).all()
    assert (slopes(model.double(), x.double(), y) == 0).double().mean() > 0.5, "too wide for double, too"


def test_slopes_are_those_of_a_linear_model() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False)).double()
    x, y = torch.rand(5, 1, 2, 2).double(), torch.tensor([0, 1, 0, 1, 1])
    weight = net[1].weight.detach()
    wrong = 1 - (net(x) / 3).softmax(1).gather(1, y[:, None]).squeeze(1)
    torch.testing.assert_close(slopes(net, x, y, 3.0), (wrong * (weight[0] - weight[1]).norm() / 3).detach())


def test_transfer_and_break_are_recipes_of_the_case() -> None:
    recipes = case_job("distillation", limit=1).recipes
    kappas = [recipe.attack.inner.confidence for recipe in recipes if recipe.name.startswith("transfer")]
    assert kappas == list(KAPPAS)
    assert isinstance(recipes[-2].attack, CarliniWagnerLinf)
    assert recipes[-1].loss == Margin()


def test_the_report_shows_it(evaluation: Evaluation) -> None:
    (section,) = advplug_report_sections(evaluation)
    assert "data:image/svg+xml" in section.html
    assert not advplug_report_sections(replace(evaluation, case="mine"))
    assert not advplug_report_sections(replace(evaluation, preset="paper"))
