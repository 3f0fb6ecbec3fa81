"""Losses, gradient estimators and criteria of plugins: words like those of the core, for as long as they are there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import eagerpy as ep
import pytest
import torch
from torch import Tensor

from advplug import AttackSpec, CriterionSpec, GradientSpec, LossSpec, ThreatModel, evaluate, hookimpl
from advplug.cli import run as command_line
from advplug.criteria import Both, Criterion, Misclassified
from advplug.errors import BrokenPlugin, InvalidInput
from advplug.gradients import EOT, Exact
from advplug.losses import Joint, Loss, Margin, View
from advplug.model import Decision
from advplug.plugins.manager import Manager, using
from advplug.spelling import read_criterion, read_gradient, read_loss, written
from advplug.testing.linear import linear_model

ABOUT: dict[str, Any] = {"summary": "for a test", "reference": "Made for a test"}


@dataclass(frozen=True)
class Gap(Loss):
    k: float = 1.0

    def __call__(self, view: View) -> ep.Tensor:
        return self.k * Margin()(view)


@dataclass(frozen=True)
class Plain(Exact):
    pass


@dataclass(frozen=True)
class FarOff(Criterion):
    """Wrong by ``k`` classes or more."""

    k: int = 2

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return (decision.labels - labels).abs() >= self.k


class Fine:
    @hookimpl
    def advplug_losses(self) -> list[LossSpec]:
        return [LossSpec(name=name, factory="component_plugin:Gap", **ABOUT) for name in ("gap", "margin")]

    @hookimpl
    def advplug_gradients(self) -> list[GradientSpec]:
        return [GradientSpec(name="plain", factory="component_plugin:Plain", **ABOUT)]

    @hookimpl
    def advplug_criteria(self) -> list[CriterionSpec]:
        return [CriterionSpec(name="far-off", factory="component_plugin:FarOff", **ABOUT)]


class Plugin(Fine):
    @hookimpl
    def advplug_losses(self) -> list[LossSpec]:
        return [*super().advplug_losses(), LossSpec(name="gone", factory="component_plugin:Gone", **ABOUT)]

    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        return [AttackSpec(name="pgd", factory="advplug_attack_pgd:PGD", **ABOUT)]


@pytest.fixture(autouse=True)
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    module = ModuleType("component_plugin")
    for kind in (Gap, Plain, FarOff):
        monkeypatch.setattr(kind, "__module__", module.__name__)
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with using(Manager(plugins=[Plugin()])) as found:
        yield found


def test_their_names_are_words_in_the_same_grammar() -> None:
    assert read_loss("gap") == Gap()
    assert read_loss("gap:3") == Gap(3)
    assert read_loss("0.5*margin+2*gap(k=4)") == Joint(((0.5, Margin()), (2.0, Gap(4))))
    assert read_gradient("eot:5 of plain") == EOT(5, of=Plain())
    assert read_criterion("far-off:3") == FarOff(3)
    assert read_criterion("misclassified & far-off") == Both(Misclassified(), FarOff())


def test_text_reads_them_back() -> None:
    for made, read in ((Gap(3), read_loss), (EOT(5, of=Plain()), read_gradient)):
        assert read(written(made)) == made
    assert written(Gap(3)) == "gap(k=3)"
    criterion = Both(Misclassified(), FarOff(3))
    assert written(criterion) == "misclassified & far-off(k=3)"
    assert read_criterion(written(criterion)) == criterion


def test_a_word_of_the_core_stays_what_it_is() -> None:
    assert read_loss("margin") == Margin()


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(InvalidInput, match=r"no loss 'gab' \(did you mean gap\?\): choose among .*margin.*, gap, gone"):
        read_loss("gab")
    with pytest.raises(InvalidInput, match=r"no criterion 'far-of' \(did you mean far-off\?\)"):
        read_criterion("far-of")
    with pytest.raises(BrokenPlugin, match="loss:gone could not be imported"):
        read_loss("gone")
    with pytest.raises(InvalidInput, match="weights and sums are for losses"):
        read_criterion("misclassified+far-off")
    with pytest.raises(InvalidInput, match="far-off has no parameter j"):
        read_criterion("far-off(j=1)")


def test_without_the_plugin_the_words_are_gone(manager: Manager) -> None:
    with using(Manager(plugins=[])), pytest.raises(InvalidInput, match="no loss 'gap'"):
        read_loss("gap")


def test_an_evaluation_takes_them() -> None:
    network = linear_model(4, (3, 4, 4), dtype=torch.float32)
    x = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        data = (x, network(x).argmax(1))
    from advplug_attack_pgd import PGD

    def left(**options: Any) -> float:
        return evaluate(network, data, ThreatModel("linf", 0.05), PGD(steps=10), **options).robust_accuracy

    assert left(losses="gap", gradients="plain") == left(losses="margin") < 1


def test_a_criterion_says_what_counts() -> None:
    network = linear_model(4, (3, 4, 4), dtype=torch.float32)
    x = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        data = (x, network(x).argmax(1))
    threat = ThreatModel("linf", 0.05)
    plain = evaluate(network, data, threat, "pgd")
    spelled = evaluate(network, data, threat, "pgd", criterion="far-off:3")
    made = evaluate(network, data, threat, "pgd", criterion=FarOff(3))
    assert plain.robust_accuracy < spelled.robust_accuracy == made.robust_accuracy
    broken = spelled.rows[0].arrays["success"]
    assert bool((abs(spelled.rows[0].arrays["predicted"] - spelled.labels) >= 3)[broken].all())
    assert "FarOff(k=3)" in spelled.rows[0].components["criterion"]
    with pytest.raises(InvalidInput, match=r"criterion is 3: give a name such as 'misclassified'"):
        evaluate(network, data, threat, "pgd", criterion=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="this criterion needs targets"):
        evaluate(network, data, threat, "pgd", criterion="targeted")


def test_show_lists_the_words_of_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    with using(Manager(plugins=[Fine()])):
        for kind, word in (("losses", "gap"), ("gradients", "plain"), ("criteria", "far-off")):
            assert command_line(["show", kind]) == 0
            assert f"\n{word}  " in capsys.readouterr().out
