"""Gradients through models in which nothing can be hooked: what torch's dispatcher saw runs again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import ThreatModel, load, run
from advplug.engine.problem import make_problem
from advplug.errors import InvalidInput, NoGradient
from advplug.gradients import EOT, Exact, GradientEstimator
from advplug.losses import Margin
from advplug.tracing import Traced
from advplug.tracing.examine import examine

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

THREAT = ThreatModel("linf", 0.3)

OPAQUE = Traced(replayed=True)


def network() -> nn.Sequential:
    """An untrained network of images (3, 8, 8), whose own answers are the labels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 4)).eval()


class Rounded(nn.Module):
    """Probabilities of two decimals."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.net(x), 1).round(decimals=1)


class Levels(Rounded):
    """Inputs and activations of a few levels."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.floor(x * 15 + 0.5) / 15
        for layer in self.net:
            x = (layer(x) * 16).round() / 16
        return x


class Signs(Rounded):
    """The signs of the first activations alone go on."""

    def forward(self, x: Tensor) -> Tensor:
        for place, layer in enumerate(self.net):
            x = layer(x)
            if place == 0:
                x = torch.sign(x - 0.1)
        return x


class Votes(Rounded):
    """One-hot answers to a thermometer code that is written in place."""

    def forward(self, x: Tensor) -> Tensor:
        code = torch.zeros_like(x)
        for level in range(10):
            code += (x > level / 10 + 0.05).float() / 10
        return F.one_hot(self.net(code).argmax(1), 4).float()


class Detached(Rounded):
    """Outside the graph in between."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            code = (x * 15).int().float() / 15
        return self.net(code)


class Random(Rounded):
    """Draws while it answers."""

    stochastic = True

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(torch.softmax(self.net(x), 1).round(decimals=1), 0.01, True)


class Table(Rounded):
    """Each pixel is looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.linspace(0, 1, 16))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.table[(x * 15).round().long()])


class Counting(Rounded):
    """Writes down how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("asked", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.asked.add_(1)
        return self.net(x).round()


@torch.library.custom_op("advplugtest::levels", mutates_args=())
def levels(x: Tensor) -> Tensor:
    """An operation of somebody's own, of which torch knows no gradient."""
    return (x * 15).round() / 15


class Own(Rounded):
    """That operation before the network."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(torch.ops.advplugtest.levels(x))


def in_integers() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(network(), {nn.Linear}, dtype=torch.qint8)
    return torch.jit.trace(quantised, torch.rand(2, 3, 8, 8))


def scripted(kind: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: torch.jit.script(kind().eval())


HIDDEN: dict[str, Callable[[], nn.Module]] = {
    "rounded scores": scripted(Rounded),
    "frozen": lambda: torch.jit.freeze(scripted(Rounded)()),
    "levels": lambda: torch.jit.trace(Levels().eval(), torch.rand(2, 3, 8, 8)),
    "signs": scripted(Signs),
    "votes": scripted(Votes),
    "detached": scripted(Detached),
    "table": scripted(Table),
    "integers": in_integers,
}


def attacked(model: nn.Module, gradient: GradientEstimator) -> float:
    """Robust accuracy under a few steps of PGD; all where there is no gradient."""
    x, labels = samples(model)
    try:
        found = run(load("attack:pgd")(steps=10), model, x, labels, THREAT, loss=Margin(), gradient=gradient)
    except NoGradient:
        return 1.0
    return found.robust_accuracy


def samples(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Inputs and the model's own answers."""
    x = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x, model(x).argmax(1)


@pytest.mark.parametrize("name", HIDDEN)
def test_it_breaks_what_shows_no_operation(name: str) -> None:
    model = HIDDEN[name]()
    assert attacked(model, Exact()) >= 0.4
    assert attacked(model, Traced()) >= 0.4
    assert attacked(model, OPAQUE) <= 0.1


class Saturated(Rounded):
    """Logarithms of probabilities that are zero or one, rounded: nothing but what comes before has a slope."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(torch.softmax(1e4 * self.net(x), 1) + 1e-6).round()


def test_operations_after_the_scores_are_left_out() -> None:
    model = torch.jit.script(Saturated().eval())
    assert attacked(model, OPAQUE) >= 0.6
    assert attacked(model, Traced(replayed=True, exit="addmm")) <= 0.1
    texts = {one.text: one.lowers for one in examine(make_problem(model, *samples(model), THREAT)).gradients}
    assert max(texts.values()) > 0.9
    with pytest.raises(InvalidInput, match=r"no operation 'linear' gives scores: choose among .*addmm"):
        attacked(model, Traced(replayed=True, exit="linear"))


def test_an_operation_without_a_formula_for_its_gradient() -> None:
    model = Own().eval()
    assert attacked(model, Exact()) == 1.0, "no gradient, and no crash"
    assert attacked(model, OPAQUE) <= 0.1


@pytest.mark.parametrize("name", ["rounded scores", "votes"])
def test_the_examination_finds_it(name: str) -> None:
    model = HIDDEN[name]()
    best = examine(make_problem(model, *samples(model), THREAT)).gradients[0]
    assert best.lowers > 0.9
    assert "replayed=True" in best.text


def test_a_network_in_the_open_has_the_same_gradient_and_is_not_tried_twice() -> None:
    model = torch.jit.script(network())
    assert attacked(model, OPAQUE) == attacked(model, Exact())
    found = examine(make_problem(model, *samples(model), THREAT))
    assert [one.text for one in found.gradients if "traced" in one.text] == []


def test_what_was_drawn_is_not_drawn_again() -> None:
    """Values of both passes would differ otherwise, and be refused."""
    model = torch.jit.script(Random().eval())
    assert attacked(model, EOT(2, of=OPAQUE)) <= 0.1


def test_a_model_that_writes_to_its_own_tensors_is_refused_and_left_as_it_is() -> None:
    model: Any = torch.jit.script(Counting().eval())
    x, labels = samples(model)
    with pytest.raises(InvalidInput, match="changes a tensor of its own"):
        run(load("attack:pgd")(steps=1), model, x, labels, THREAT, loss=Margin(), gradient=OPAQUE)


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="torch before 2.6 compiles on")
def test_a_compiled_model_runs_as_it_was_written() -> None:
    model: Any = torch.compile(Rounded().eval(), backend="eager")
    assert attacked(model, Exact()) >= 0.6
    assert attacked(model, Traced()) <= 0.1


def test_an_exported_model_shows_its_operations() -> None:
    size = torch.export.Dim("size", min=1, max=64)
    exported = torch.export.export(Rounded().eval(), (torch.rand(3, 3, 8, 8),), dynamic_shapes={"x": {0: size}})
    model = exported.module()
    assert attacked(model, Exact()) >= 0.6
    assert attacked(model, Traced()) <= 0.1
