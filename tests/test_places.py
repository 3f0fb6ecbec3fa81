"""What is said of a model as a whole, and what the examination costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from advplug import Decision, DefendedModel, ThreatModel
from advplug.engine.problem import Problem, make_problem
from advplug.engine.query_counter import QueryCounter
from advplug.tracing.examine import examine
from advplug.tracing.trace import trace
from advplug.tracing.whole import multiplications, opaque_modules

THREAT = ThreatModel("linf", 0.05)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()


def problem_of(model: nn.Module, count: int = 12) -> Problem:
    x = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return make_problem(model, x, model(x).argmax(1), THREAT)


def said(model: nn.Module) -> dict[str, str]:
    """Notes of the whole model by kind."""
    return {place.kind: place.note for place in examine(problem_of(model)).places if not place.module}


class Sharp(nn.Module):
    """Scores far apart."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        return 1e5 * self.net(x)


class Picky(DefendedModel):
    """Rejects what is bright."""

    def __init__(self) -> None:
        super().__init__(3)
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def decide(self, x: Tensor) -> Decision:
        return Decision(self.net(x).argmax(1), x.mean((1, 2, 3)) < 0.55)


def test_what_a_pass_costs_follows_from_its_layers() -> None:
    """Four places of a filter of nine values in two channels, then eight features for three classes."""
    calls, _ = trace(network(), torch.rand(5, 1, 4, 4))
    assert multiplications(calls, 5) == 2 * 4 * 9 + 8 * 3
    assert said(network()) == {"cost": "96 multiplications of its layers for an input"}


def test_saturation_and_rejection_are_places() -> None:
    assert said(Sharp())["saturated"] == "the softmax of the scores is 1 at 100 % of the inputs"
    assert "saturated" not in said(Picky())
    model = Picky()
    rejected = float((~model.decide(problem_of(model).inputs).accepted).double().mean())
    assert 0 < rejected < 1
    assert said(model)["rejects"] == f"{100 * rejected:.0f} % of the inputs; without scores"


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_scripted_modules_are_named() -> None:
    model = nn.Sequential(torch.jit.script(network()), nn.ReLU())
    assert opaque_modules(model) == [("0", "RecursiveScriptModule")]
    assert opaque_modules(network()) == []
    assert "opaque" in said(torch.jit.script(network()))


def test_backward_passes_of_the_examination_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [0]
    backward = QueryCounter.backward

    def count(self: QueryCounter, copies: int = 1) -> None:
        counted[0] += copies * int(self.live.sum())
        backward(self, copies)

    monkeypatch.setattr(QueryCounter, "backward", count)
    examination = examine(problem_of(network()))
    assert examination.backwards == counted[0] + 2 * 12, "two traces besides"
