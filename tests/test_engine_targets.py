"""Targets of an attack: each in turn, some, all at once, or given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from descent import LINF, Counting, Descent, linear_problem, linear_samples
from torch import Tensor

from advplug.attack import Attack
from advplug.engine.problem import Options, Problem, make_problem
from advplug.engine.stages import run_attack
from advplug.engine.task import Task
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.model import PlainModel
from advplug.numerics.tensors import raw
from advplug.threat import ThreatModel


def test_targets_each_tries_every_other_class_likeliest_first() -> None:
    class Spy(Attack):
        def __init__(self) -> None:
            self.seen: list[tuple[Tensor, Tensor]] = []

        def run(self, task: Task) -> None:
            assert task.targets is not None
            self.seen.append((raw(task.samples), task.targets.raw))

    spy = Spy()
    problem = linear_problem(targets="each")
    run_attack(spy, problem)
    order = torch.stack([targets for _, targets in spy.seen], 1)
    logits = problem.model(problem.inputs)
    ranked = logits.scatter(1, problem.labels[:, None], -torch.inf).argsort(dim=1, descending=True)
    assert torch.equal(order, ranked[:, :-1])


def test_a_number_of_targets_is_so_many_of_the_likeliest() -> None:
    two, each = (
        run_attack(Descent(), linear_problem(num_targets=2)),
        run_attack(Descent(), linear_problem(targets="each")),
    )
    assert torch.equal(two.success, each.success), "of three classes two are others"
    one = run_attack(Descent(), linear_problem(num_targets=1))
    logits = linear_samples()[0](linear_samples()[1])
    likeliest = logits.scatter(1, linear_samples()[2][:, None], -torch.inf).argmax(1)
    assert torch.equal(one.target[one.success], likeliest[one.success])
    with pytest.raises(InvalidInput, match="num_targets is 0"):
        linear_problem(num_targets=0)


def _many_classes(**words: Any) -> tuple[Problem, Counting]:
    model, x, y = linear_samples(30, classes=8)
    counting = Counting(model)
    options = Options(**{name: words.pop(name) for name in list(words) if name in Options.__dataclass_fields__})
    wrapped = PlainModel(counting, 8)
    return make_problem(wrapped, x, y, LINF, loss=Margin(), targets="each", options=options, **words), counting


def test_targets_at_once_break_the_same_samples() -> None:
    in_turn = run_attack(Descent(), _many_classes()[0])
    at_once = run_attack(Descent(), _many_classes(targets_at_once=7)[0])
    assert torch.equal(at_once.success, in_turn.success)
    assert 0 < at_once.success.sum() < 30
    survivors = ~at_once.success
    assert torch.equal(at_once.forwards[survivors], in_turn.forwards[survivors]), "nothing is saved where all is tried"
    assert (at_once.forwards[survivors] == 7 * 21).all(), "seven targets of twenty steps and a last look"
    assert (at_once.target[at_once.success] >= 0).all()
    torch.testing.assert_close(at_once.trace[:, survivors], in_turn.trace.view(7, 21, -1).amin(0)[:, survivors])


def test_a_sample_leaves_with_all_its_targets() -> None:
    """Seven rows until the first of them succeeds, and none after."""
    alone = [run_attack(Descent(), replace(_many_classes()[0], targets=targets)) for targets in _each_target()]
    first = torch.stack([torch.where(r.success, r.forwards, 1 << 30) for r in alone]).amin(0)
    result = run_attack(Descent(), _many_classes(targets_at_once=7)[0])
    assert torch.equal(result.forwards[result.success], 7 * first[result.success])


def _each_target() -> list[Tensor]:
    problem, _ = _many_classes()
    logits = problem.model(problem.inputs).scatter(1, problem.labels[:, None], -torch.inf)
    return list(logits.argsort(dim=1, descending=True)[:, :-1].unbind(1))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_targets_at_once_do_not_depend_on_the_batch(batch_size: int) -> None:
    together = run_attack(Descent(random=True), _many_classes(targets_at_once=7)[0])
    apart = run_attack(Descent(random=True), _many_classes(targets_at_once=7, batch_size=batch_size)[0])
    for name in ("success", "adversarials", "target", "forwards", "backwards", "unusable_gradients"):
        assert torch.equal(getattr(apart, name), getattr(together, name)), name


def test_targets_at_once_keep_to_the_memory_budget() -> None:
    whole, _ = _many_classes(targets_at_once=7)
    tight, counting = _many_classes(targets_at_once=7, memory_budget=3 * 18 * 8 * 5)  # five inputs fit
    result = run_attack(Descent(), tight)
    assert counting.largest <= 5
    assert torch.equal(result.success, run_attack(Descent(), whole).success)


def test_targets_at_once_keep_the_nearest_point_of_a_minimum_norm_run() -> None:
    class Nearing(Descent):
        minimum_norm = True

    problem, _ = _many_classes(targets_at_once=3)
    problem = replace(problem, threat=ThreatModel("linf"), epsilon=None)
    at_once = run_attack(Nearing(), problem)
    in_turn = run_attack(Nearing(), replace(problem, options=Options()))
    assert at_once.success.any()
    torch.testing.assert_close(at_once.distance, in_turn.distance, equal_nan=True)


def test_given_targets_are_reached_when_the_threat_is_targeted() -> None:
    threat = ThreatModel("linf", 0.5, targeted=True)
    plain, _, y = linear_samples()
    targets = (y + 1) % 3
    result = run_attack(Descent(steps=60), linear_problem(threat, targets=targets))
    assert result.success.sum() > 20
    reached = plain(result.adversarials).argmax(1)
    assert torch.equal(reached[result.success], targets[result.success])
    assert torch.equal(result.target[result.success], targets[result.success])
