"""Every diagnostic leaves a finding: that it passed, what is wrong, or why nobody looked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from advplug_attack_pgd import PGD
from advplug_attack_square import Square
from torch import Tensor, nn

from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.engine.problem import Problem, make_problem
from advplug.evaluation import Evaluation, Finding, evaluate, model_job
from advplug.evaluation.diagnostics.dead_gradient import where_it_dies
from advplug.evaluation.diagnostics.gradient_check import check_gradient
from advplug.evaluation.diagnostics.randomness import measure
from advplug.evaluation.problems import as_findings
from advplug.gradients import EOT, FiniteDifference
from advplug.losses import Margin
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.3)
NUMBERS = [f"G{number}" for number in range(1, 15)]
X = torch.rand(24, 10, generator=torch.Generator().manual_seed(0))


class Step(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Opaque(torch.autograd.Function):
    @staticmethod
    def forward(_context: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return torch.zeros_like(gradient)


def linear() -> nn.Module:
    return linear_model(3, (10,)).float()


def behind(step: Callable[[Tensor], Tensor]) -> nn.Module:
    return nn.Sequential(nn.Identity(), Step(step), linear()).eval()


def evaluation(model: nn.Module, *recipes: Recipe, diagnose: str = "quick", threat: ThreatModel = LINF) -> Evaluation:
    with torch.no_grad(), torch.random.fork_rng():
        labels = model(X).argmax(1)
    job = model_job("toy", model, Images(X, labels), threat, recipes or [PLAIN])
    return evaluate(replace(job, diagnose=diagnose))


def problem(model: nn.Module) -> Problem:
    with as_findings():
        return make_problem(model, X, torch.zeros(24, dtype=torch.int64), LINF)


def troubles(found: Evaluation) -> dict[str, Finding]:
    return {one.name: one for one in found.findings if one.status in ("warn", "fail") and one.name != "missing-classes"}


PLAIN = Recipe(name="pgd", attack=PGD(steps=10, random_start=False))


@pytest.mark.parametrize("model", [linear(), behind(lambda x: x + 0.1 * torch.randn_like(x)), behind(torch.round)])
@pytest.mark.parametrize("diagnose", ["quick", "full"])
def test_every_number_has_a_finding_in_order(model: nn.Module, diagnose: str) -> None:
    found = evaluation(model, diagnose=diagnose).findings
    assert list(dict.fromkeys(one.id for one in found)) == NUMBERS
    assert all(one.message for one in found)
    for one in found:
        assert not (one.status in ("pass", "not-run") and one.advice), one
    advice = [one.advice for one in found if one.advice]
    assert len(advice) == len(set(advice))


def test_what_costs_attacks_of_its_own_says_how_to_run_it() -> None:
    found = {one.id: one for one in evaluation(linear()).findings}
    assert found["G14"].status == "not-run"
    assert "--diagnose full" in found["G14"].message
    full = {one.id: one for one in evaluation(linear(), diagnose="full").findings}
    assert full["G14"].status == "pass"
    assert full["G14"].figure == 1.0


@pytest.mark.parametrize(
    ("step", "where"),
    [
        (lambda x: (50 * x).round() / 50, "1 (Step, by round)"),
        (lambda x: x.detach(), "1 (Step, by leaving the graph"),
        (Opaque.apply, "1 (Step, by the function Opaque"),
    ],
    ids=["rounded", "detached", "own backward"],
)
def test_the_module_that_loses_the_gradient_is_named(step: Callable[[Tensor], Tensor], where: str) -> None:
    square = Recipe(name="square", attack=Square(queries=20))
    finding = next(one for one in evaluation(behind(step), PLAIN, square).findings if one.id == "G1")
    assert f"It is lost in {where}" in finding.message
    assert f"traced, which gives {where}" in finding.advice


def test_no_module_is_accused_where_the_gradient_arrives() -> None:
    assert where_it_dies(problem(behind(torch.tanh))) == ""


def test_saturation_asks_for_the_margin_unless_the_margin_was_run() -> None:
    sure = nn.Sequential(linear(), Step(lambda z: 1e4 * z)).eval()
    finding = next(one for one in evaluation(sure).findings if one.id == "G2")
    assert finding.status == "warn"
    assert finding.advice.startswith("Change the loss: margin")
    both = evaluation(sure, PLAIN, replace(PLAIN, name="pgd, margin", loss=Margin()))
    assert not any("margin, which" in one.advice for one in both.findings)
    assert any(one.advice.startswith("Believe the attack whose loss does not saturate") for one in both.findings)
    assert not any("BPDA" in one.advice for one in both.findings), "the gradient is not the cause"


def test_randomness_asks_for_as_many_draws_as_it_measured_and_no_more() -> None:
    shaken = behind(lambda x: x + 0.5 * torch.randn_like(x))
    finding = troubles(evaluation(shaken))["stochastic"]
    measured = measure(problem(shaken))
    assert 0 < measured.flips < 1
    assert measured.interval[0] < finding.figure < measured.interval[1]  # type: ignore[operator]
    assert "declare stochastic = True" in finding.advice
    shaken.stochastic = True  # type: ignore[assignment]
    assert "stochastic" not in troubles(evaluation(shaken, replace(PLAIN, gradient=EOT(100))))


def test_noisy_gradients_need_more_draws_than_steady_ones() -> None:
    def curved(sigma: float) -> int:
        model = nn.Sequential(Step(lambda x: torch.sin(5 * (x + sigma * torch.randn_like(x)))), linear()).eval()
        return measure(problem(model)).draws

    assert curved(0.02) < curved(0.2) < curved(1.0)


def test_a_gradient_of_another_function_is_told_from_its_own() -> None:
    own, other = linear(), linear_model(3, (10,), seed=1).float()

    class Misleading(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return own(x).detach() + other(x) - other(x).detach()  # type: ignore[no-any-return]

    honest, false = (check_gradient(problem(model)) for model in (own, Misleading()))
    assert honest is not None and honest.agreement == pytest.approx(1, abs=1e-3)  # noqa: PT018
    assert false is not None and abs(false.agreement or 0) < 0.5  # noqa: PT018
    assert "misleading-gradient" in troubles(evaluation(Misleading()))
    assert "misleading-gradient" not in troubles(evaluation(own))


def test_attacks_that_noise_or_one_step_beat_have_failed() -> None:
    found = troubles(evaluation(behind(lambda x: (4 * x).round() / 4)))
    assert found["noise"].status == "fail"
    assert found["noise"].samples
    idle = Recipe(name="pgd", attack=PGD(steps=1, step_size=1e-6, random_start=False))
    assert troubles(evaluation(linear(), idle))["one-step"].status == "fail"


def test_without_a_budget_everything_must_fall() -> None:
    found = troubles(evaluation(behind(lambda x: (4 * x).round() / 4), diagnose="full"))
    assert found["unbounded"].status == "fail"
    assert "unbounded" not in troubles(evaluation(linear(), diagnose="full"))


def test_state_and_inner_gradients_are_seen() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = linear()
            self.register_buffer("asked", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.asked += 1
            with torch.enable_grad():
                point = x.detach().requires_grad_()
                torch.autograd.grad(self.net(point).sum(), point)
            return self.net(x)  # type: ignore[no-any-return]

    found = troubles(evaluation(Counting()))
    assert "asked" in found["stateful"].message
    assert "inner-gradients" in found
    assert not {"stateful", "inner-gradients"} & troubles(evaluation(linear())).keys()


def test_a_look_that_fails_costs_neither_the_run_nor_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from advplug.evaluation.diagnostics import looks

    def broken(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(looks, "check_gradient", broken)
    found = {one.id: one for one in evaluation(linear()).findings}
    assert found["G3"].status == "not-run"
    assert "RuntimeError: no room" in found["G3"].message
    assert found["G10"].status == "pass"


def test_a_case_that_its_adaptive_attack_breaks_needs_no_advice() -> None:
    differences = Recipe(
        name="differences", attack=PGD(steps=20), loss=Margin(), gradient=FiniteDifference(0.1, 40), role="adaptive"
    )
    model = behind(lambda x: (50 * x).round() / 50)
    with torch.no_grad():
        images = Images(X, model(X).argmax(1))
    weak = replace(PLAIN, role="baseline")
    job = model_job("toy", model, images, ThreatModel("linf", 0.9), [weak, differences])
    found = evaluate(replace(job, claim="It stands.", lesson="It does not."))
    assert found.broken
    assert "unusable-gradients" in troubles(found)
    assert not any(one.advice for one in found.findings)
