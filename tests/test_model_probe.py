"""What the engine finds out about a model before it attacks: a stranger's model is treated as it behaves."""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import PlainModel, ThreatModel, load, run
from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.engine.problem import make_problem
from advplug.errors import InvalidInput, NoGradient, RobustnessWarning
from advplug.evaluation import evaluate, model_job
from advplug.gradients import EOT
from advplug.model import Decision, DefendedModel, FixedBatch

THREAT = ThreatModel("linf", 16 / 255)
X = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)).eval()


Y = network()(X).argmax(1)


class Around(nn.Module):
    """``network()`` with another form of its answer."""

    def __init__(self, form: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net, self.form = network(), form

    def forward(self, x: Tensor) -> Any:
        return self.form(self.net(x))


class OfOneSize(nn.Module):
    """A program that was exported for batches of ``size``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.net, self.size = network(), size

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(x).view(self.size, 10)
        return scores


class FirstWholeNumbers(nn.Module):
    """The first parameter holds quantised weights, as in many compressed models."""

    def __init__(self) -> None:
        super().__init__()
        self.packed = nn.Parameter(torch.ones(3, dtype=torch.int8), requires_grad=False)
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(x)
        return scores


Output = namedtuple("Output", ["loss", "logits"])

SAME: dict[str, Callable[[], nn.Module]] = {
    "named logits": lambda: Around(lambda z: Output(None, z)),
    "dict with logits": lambda: Around(lambda z: {"features": z[:, :2], "logits": z}),
    "one entry": lambda: Around(lambda z: [z]),
    "log-probabilities": lambda: Around(lambda z: z.log_softmax(1)),
    "double scores": lambda: Around(lambda z: z.double()),
    "batches of 4": lambda: OfOneSize(4),
    "batches of all": lambda: OfOneSize(len(X)),
    "whole numbers first": FirstWholeNumbers,
    "scripted": lambda: torch.jit.script(network()),
    "frozen script": lambda: torch.jit.freeze(torch.jit.script(network())),
    "traced": lambda: torch.jit.trace(network(), X[:2]),
    "compiled": lambda: torch.compile(network(), backend="eager"),  # type: ignore[dict-item, return-value]
    "exported": lambda: torch.export.export(network(), (X[:4],)).module(),
    "named entry": lambda: PlainModel(Around(lambda z: (z[:, :2], z)), 10, output=1),
    "function": lambda: PlainModel(network().__call__, 10),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_forms_of_a_network_get_its_number(name: str) -> None:
    plain = run(load("attack:pgd")(), network(), X, Y, THREAT)
    other = run(load("attack:pgd")(), SAME[name](), X, Y, THREAT)
    assert plain.robust_accuracy < 0.1
    assert other.clean_accuracy == 1
    assert abs(other.robust_accuracy - plain.robust_accuracy) <= 1 / len(X)


def test_functions_of_arrays_are_attacked_by_their_scores() -> None:
    net = network()
    model = PlainModel(lambda x: net(torch.from_numpy(x)).detach().numpy(), 10)
    square = load("attack:square")(queries=100)
    assert torch.equal(run(square, model, X, Y, THREAT).success, run(square, net, X, Y, THREAT).success)
    with pytest.raises(NoGradient, match="square"):
        run(load("attack:pgd")(), model, X, Y, THREAT)


def test_a_dynamically_quantised_network_gets_a_number() -> None:
    model = torch.ao.quantization.quantize_dynamic(network(), {nn.Linear})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run(load("attack:square")(queries=300), model, X, Y, THREAT)
    assert result.clean_accuracy > 0.9
    assert result.robust_accuracy < 0.3


class Estimator:
    """As scikit-learn's: not a function itself."""

    def predict_proba(self, x: Any) -> Any:
        return x


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.no_such_method()  # type: ignore[no-any-return, operator]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "several entries": (lambda: Around(lambda z: {"a": z, "b": z}), r"name the one with the scores.*output='a'"),
    "no such entry": (lambda: PlainModel(network(), 10, output="scores"), "output='scores'"),
    "text": (lambda: Around(lambda z: "cat"), "returned a str"),
    "classes": (lambda: Around(lambda z: z.argmax(1)), "K >= 2"),
    "wrong number": (lambda: PlainModel(network(), 7), "says that it has 7 classes, it gave 10"),
    "estimator": (Estimator, r"PlainModel\(model\.predict_proba, num_classes\)"),
    "not called yet": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "pass inputs through it once"),
    "its own error": (Unknown, "does not take inputs.*no_such_method"),
    "statistics of the batch": (
        lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192, track_running_stats=False), nn.Linear(192, 10)).eval(),
        "running statistics",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named_with_the_way_round(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InvalidInput, match=message):
        run(load("attack:pgd")(), make(), X, Y, THREAT)


def test_batches_of_one_size_are_filled_up() -> None:
    model, net = FixedBatch(OfOneSize(4), 4), network()
    for count in (1, 3, 4, 9):
        assert torch.allclose(model(X[:count]), net(X[:count]), atol=1e-6)


class Noisy(nn.Module):
    """Draws noise, and does not say so unless told."""

    def __init__(self, declared: bool) -> None:
        super().__init__()
        self.net = network()
        if declared:
            self.stochastic = True

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(x + 0.25 * torch.randn_like(x))
        return scores


def test_undeclared_randomness_is_judged_as_declared() -> None:
    """On one draw the undeclared model looked more robust: 85 % where 64 % is true."""
    attack, threat = load("attack:pgd")(), ThreatModel("linf", 0.02)
    declared = run(attack, Noisy(True), X, Y, threat)
    with pytest.warns(RobustnessWarning, match="stochastic = True"):
        found = run(attack, Noisy(False), X, Y, threat)
    assert torch.equal(found.success_rate, declared.success_rate)
    assert found.robust_accuracy == declared.robust_accuracy
    assert 0 < found.robust_accuracy < 1


class NoisyDetector(DefendedModel):
    """Certain scores and an uncertain answer."""

    def __init__(self) -> None:
        super().__init__(10)
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(x)
        return scores

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), torch.rand(len(x)) < 0.5)


def test_randomness_of_a_detector_is_found() -> None:
    with pytest.warns(RobustnessWarning, match="random"):
        problem = make_problem(NoisyDetector(), X, Y, THREAT)
    assert problem.model.stochastic
    assert problem.model.undeclared == {"stochastic"}


def by_batch() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), network()).eval()


def test_models_that_look_at_batch_mates_are_asked_one_at_a_time() -> None:
    model = by_batch()
    labels = torch.cat([model(one) for one in X.split(1)]).argmax(1)
    with pytest.warns(RobustnessWarning, match="one at a time"):
        result = run(load("attack:pgd")(), model, X, labels, THREAT)
    assert result.clean_accuracy == 1
    alone = torch.cat([model(one) for one in result.adversarials.split(1)]).argmax(1)
    assert torch.equal(alone != labels, result.success)
    assert bool(result.success.any())
    with pytest.warns(RobustnessWarning):
        again = run(load("attack:pgd")(), model, X, labels, THREAT, batch_size=7)
    assert torch.equal(again.adversarials, result.adversarials)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_rounding_is_neither_randomness_nor_batch_dependence(dtype: torch.dtype) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobustnessWarning)
        assert not make_problem(network().to(dtype), X, Y, THREAT).model.undeclared


def findings(model: nn.Module, labels: Tensor = Y, threat: ThreatModel = THREAT, name: str = "pgd") -> dict[str, str]:
    recipe = Recipe(name=name, attack=load(f"attack:{name}")(), role="baseline")
    evaluation = evaluate(model_job("model", model, Images(X, labels), threat, [recipe]))
    return {finding.name: f"{finding.message} {finding.advice}" for finding in evaluation.findings}


def test_an_evaluation_makes_findings_of_what_was_found() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobustnessWarning)
        assert "one at a time" in findings(by_batch())["batch-dependent"]
        assert "eot" in findings(Noisy(False))["stochastic"]
        assert "wider" in findings(network(), threat=ThreatModel("linf", 8.0))["wide-budget"]
        assert "normalisation" in findings(network(), labels=(Y + 1) % 10)["chance"]
        assert not {"batch-dependent", "stochastic", "wide-budget", "chance"} & findings(network()).keys()


class OnHost(nn.Module):
    """Runs out of the host's memory above three inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 3:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory")
        scores: Tensor = self.net(x)
        return scores


def test_memory_of_the_host_that_runs_out_halves_every_pass() -> None:
    result = run(load("attack:pgd")(), OnHost(), X, Y, THREAT)
    assert torch.equal(result.success, run(load("attack:pgd")(), network(), X, Y, THREAT).success)
    assert "chance" not in findings(OnHost())


class Masked(nn.Module):
    """Hides a third of the pixels, the same of all inputs of a pass or others of each."""

    stochastic = True

    def __init__(self, of_each: bool) -> None:
        super().__init__()
        self.net, self.of_each = network(), of_each

    def forward(self, x: Tensor) -> Tensor:
        shown = torch.rand(len(x) if self.of_each else 1, 1, 8, 8) > 1 / 3
        scores: Tensor = self.net(x * shown)
        return scores


@pytest.mark.parametrize("of_each", [False, True])
def test_the_number_of_a_random_model_does_not_depend_on_the_batch_size(of_each: bool) -> None:
    """Draws are other draws in other batches; of a hundred inputs the number moves by less than its own interval."""
    x = torch.rand(100, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    labels, attack = network()(x).argmax(1), load("attack:pgd")(steps=10)
    told = [
        run(attack, Masked(of_each), x, labels, ThreatModel("linf", 0.02), gradient=EOT(4), batch_size=size)
        for size in (1, 10, None)
    ]
    numbers = [result.robust_accuracy for result in told]
    assert 0.02 < min(numbers) < 0.9
    assert max(numbers) - min(numbers) < 0.06
