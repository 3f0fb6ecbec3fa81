"""Where the suite is not enough it says so, and names the word to change."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import pytest
import torch
from advplug_attack_standard import Standard
from torch import Tensor, nn

from advplug import ThreatModel, evaluate, run
from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.errors import NoGradient, RobustnessWarning
from advplug.evaluation import model_job
from advplug.gradients import EOT
from advplug.model import Decision, DefendedModel
from advplug.testing.linear import linear_model

QUICK = Standard(steps=5, queries=400)
LINF = ThreatModel("linf", 0.2)


class Layered(DefendedModel):
    """A linear model with something in front or behind."""

    def __init__(self, *, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]) -> None:
        super().__init__(5)
        self.linear, self.before, self.after = linear_model(5, (1, 4, 4)).float(), before, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.linear(self.before(x)))


class Noisy(Layered):
    """Answers that are random, with the declaration that they are."""

    stochastic = True


class Wary(Layered):
    """Rejects bright inputs."""

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), x.flatten(1).mean(1) < 0.9)


def same(x: Tensor) -> Tensor:
    return x


def shaken(x: Tensor) -> Tensor:
    return x + 0.05 * torch.randn_like(x)


def rounded(x: Tensor) -> Tensor:
    return (x * 20).round() / 20


def sure(z: Tensor) -> Tensor:
    """Logits of which float32 makes probabilities of exactly 0 and 1."""
    return 1000 * z


def images(model: nn.Module) -> Images:
    x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad(), torch.random.fork_rng():
        return Images(x, model.eval()(x).argmax(1))


CASES = {
    "random": (Noisy(before=shaken, after=same), r"differ.*EOT\(\d+\)"),
    "random, not declared": (Layered(before=shaken, after=same), "does not declare.*EOT"),
    "probabilities": (Layered(before=same, after=lambda z: z.softmax(1)), "probabilities.*margin"),
    "saturated": (Layered(before=same, after=sure), "zero.*Change the loss.*margin"),
    "no gradient": (Layered(before=rounded, after=same), "(zero|no gradient).*traced"),
    "detector": (Wary(before=same, after=same), "rejects inputs.*Change the loss"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_warning_names_the_word_to_change(name: str) -> None:
    model, message = CASES[name]
    own = images(model)
    with pytest.warns(RobustnessWarning, match=message):
        run(QUICK, model, own.inputs, own.labels, LINF)


@pytest.mark.parametrize("name", CASES)
def test_in_an_evaluation_it_is_a_finding_and_no_warning(name: str, recwarn: pytest.WarningsRecorder) -> None:
    model, message = CASES[name]
    evaluation = evaluate(model_job("toy", model, images(model), LINF, [Recipe(name="standard", attack=QUICK)]))
    said = [f"{finding.message} {finding.advice}" for finding in evaluation.findings if finding.status == "warn"]
    assert any(re.search(message, text) for text in said), said
    assert not [warning for warning in recwarn if warning.category is RobustnessWarning]


def test_a_gradient_that_averages_needs_no_warning() -> None:
    model, _ = CASES["random"]
    own = images(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobustnessWarning)
        result = run(QUICK, model, own.inputs, own.labels, LINF, gradient=EOT(4))
    assert result.stages == ("apgd-ce", "apgd-dlr", "pgd"), "the authors' version, and constant steps"


class Hidden(DefendedModel):
    """Its gradient is that of another model; scores alone lead to the boundary."""

    def __init__(self) -> None:
        super().__init__(5)
        self.linear, self.other = linear_model(5, (1, 4, 4)).float(), linear_model(5, (1, 4, 4), seed=1).float()

    def forward(self, x: Tensor) -> Tensor:
        true, false = self.linear(x), self.other(x)
        return true.detach() + false - false.detach()


def test_scores_that_beat_gradients_are_a_finding() -> None:
    model = Hidden()
    threat = ThreatModel("linf", 0.03)
    evaluation = evaluate(model_job("toy", model, images(model), threat, [Recipe(name="standard", attack=QUICK)]))
    (_, before), (_, after) = evaluation.rows[0].stages[-2:]
    assert after < before - 0.05
    finding = next(one for one in evaluation.findings if one.name == "masked-gradients")
    assert "scores alone break" in finding.message


def test_a_model_that_cannot_be_differentiated_gets_the_number_of_what_sees_scores_alone() -> None:
    model = Layered(before=lambda x: (x > 0.5).float(), after=same)
    data = images(model)
    with pytest.warns(RobustnessWarning, match=r"gives no gradient.*Not run: .*apgd.*; run: square"):
        result = run(Standard(steps=5, queries=400), model, data.inputs, data.labels, ThreatModel("linf", 0.3))
    assert result.stages == ("square", "apgd-ce, finite differences")
    assert result.left_out == ("apgd-ce", "apgd-t", "fab-t")
    assert result.success.sum() > 0


def test_finite_differences_follow_where_no_stage_sees_scores_alone() -> None:
    model = Layered(before=lambda x: (x > 0.5).float(), after=same)
    data = images(model)
    with pytest.warns(RobustnessWarning, match=r"run: apgd-ce, finite differences"):
        result = run(Standard(steps=10, queries=50), model, data.inputs, data.labels, ThreatModel("l1", 3.0))
    assert result.stages == ("apgd-ce, finite differences",)
    assert result.success.sum() > 0
    assert int(result.forwards.max()) > 100, "each gradient costs 100 queries"


def test_an_evaluation_tells_what_could_not_run() -> None:
    from advplug import load
    from advplug.report.summary import verdict

    model = Layered(before=lambda x: (x > 0.5).float(), after=same)
    recipes = [Recipe(name="standard", attack=QUICK), Recipe(name="apgd", attack=load("attack:apgd")())]
    evaluation = evaluate(model_job("toy", model, images(model), ThreatModel("linf", 0.3), recipes))
    assert [row.name for row in evaluation.rows] == ["standard"]
    (finding,) = (finding for finding in evaluation.findings if finding.name == "no-gradient")
    assert "apgd, apgd-ce, apgd-t, fab-t of standard" in finding.message
    assert "--gradients traced" in finding.advice
    assert finding.message in verdict(evaluation)
    with pytest.raises(NoGradient, match="square"):
        evaluate(model_job("toy", model, images(model), ThreatModel("linf", 0.3), recipes[1:]))
