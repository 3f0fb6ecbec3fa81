"""Attacks on a model of the attacker's own: ensembles, losses over their members, and who judges what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import eagerpy as ep
import pytest
import torch
from torch import Tensor, nn

from advplug import DefendedModel, IterativeAttack, ThreatModel, run
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem, make_problem
from advplug.engine.task import Task
from advplug.errors import InvalidInput
from advplug.families import Ensemble, MeanOverMembers
from advplug.families.surrogate import SurrogateAttack, small_network
from advplug.losses import CrossEntropy, Loss, Margin, TargetedDLR, View
from advplug.numerics.tensors import per_sample, raw, wrap
from advplug.testing.linear import linear_model

LINF = ThreatModel("linf", 0.2)


class State(NamedTuple):
    x: ep.Tensor


class Walk(IterativeAttack[State]):
    """Sign steps, each sample as many as its number in the batch, so that they leave in no particular order."""

    norms = ("linf",)
    steps = 8

    def init(self, task: Task) -> State:
        return State(task.inputs)

    def step(self, task: Task, state: State) -> State:
        move = per_sample(task.epsilon, state.x) / 4 * task.gradient(state.x).sign()
        task.finish(wrap((raw(task.samples) * 5) % 7 <= task.t))
        return State(task.project(state.x - move))


@dataclass(frozen=True, kw_only=True)
class OnAnother(SurrogateAttack):
    """``attack`` on a given model."""

    needs_auxiliary = False

    model: nn.Module

    def own_model(self, problem: Problem, gateway: Gateway) -> Ensemble:
        return Ensemble([self.model], problem.model.num_classes, problem.threat.bounds).eval()


class Counting(nn.Module):
    """Counts the inputs that go through ``net``, and refuses to be differentiated."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.seen = net, 0

    def forward(self, x: Tensor) -> Tensor:
        assert not x.requires_grad
        self.seen += len(x)
        logits: Tensor = self.net(x)
        return logits


def digits(count: int = 12) -> tuple[nn.Module, Tensor, Tensor]:
    net = linear_model(4, (6,), seed=1)
    x = torch.rand(count, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return net, x, net(x).argmax(1).detach()


def test_an_ensemble_averages_the_logits_of_its_members() -> None:
    nets = [linear_model(3, (5,), seed=seed) for seed in range(3)]
    model, x = Ensemble(nets, 3), torch.rand(4, 5, dtype=torch.float64)
    torch.testing.assert_close(model(x), (nets[0](x) + nets[1](x) + nets[2](x)) / 3)
    assert model.member_logits(x).shape == (4, 3, 3)
    assert not model.stochastic


@pytest.mark.parametrize("targets", [None, torch.tensor([1, 2, 0, 1])])
def test_a_loss_over_members_is_the_mean_of_theirs(targets: Tensor | None) -> None:
    logits, labels = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])

    def view(scores: Tensor) -> View:
        goal = None if targets is None else wrap(targets)
        activations = {"members": wrap(logits)}
        return View(Ensemble([], 3), wrap(scores), wrap(scores), wrap(labels), goal, wrap(labels), activations)

    for loss in (CrossEntropy(), Margin(0.5)):
        apart = torch.stack([raw(loss(view(logits[:, member]))) for member in range(3)]).mean(0)
        torch.testing.assert_close(raw(MeanOverMembers(loss)(view(logits.mean(1)))), apart)
    assert MeanOverMembers(TargetedDLR()).needs_targets
    assert MeanOverMembers(TargetedDLR()).min_classes == 4


def test_a_loss_over_members_costs_one_forward_pass() -> None:
    nets = [Watching(linear_model(4, (6,), seed=seed)) for seed in range(2)]
    _, x, _ = digits()
    model = Ensemble(nets, 4)
    y = model(x).argmax(1)
    nets[0].seen = 0
    result = run(Walk(), model, x, y, LINF, loss=MeanOverMembers(CrossEntropy()), early_end=False)
    asked, nets[0].seen = nets[0].seen, 0
    make_problem(model, x, y, LINF)  # what the model is
    # Besides what is charged: the clean check, the verification, one input for the memory.
    assert asked <= int(result.forwards.sum()) + 2 * len(x) + 1 + nets[0].seen


class Watching(Counting):
    """Counts, and may be differentiated."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        logits: Tensor = self.net(x)
        return logits


def test_the_model_under_attack_is_asked_once_for_each_sample_and_needs_no_gradient() -> None:
    net, x, y = digits()
    target = Counting(net)
    result = run(OnAnother(attack=Walk(), model=linear_model(4, (6,), seed=1)), target, x, y, LINF, early_end=False)
    assert result.success.any()
    assert result.forwards.tolist() == [1] * len(x)
    assert not result.backwards.any()


def test_results_come_back_in_the_order_of_the_samples() -> None:
    """On a copy of the model under attack it is the attack itself, although its samples leave in another order."""
    net, x, y = digits()
    direct = run(Walk(), net, x, y, LINF, early_end=False)
    ours = run(OnAnother(attack=Walk(), model=linear_model(4, (6,), seed=1)), net, x, y, LINF, early_end=False)
    assert 0 < direct.success.sum() < len(x)
    assert torch.equal(ours.success, direct.success)
    torch.testing.assert_close(ours.adversarials, direct.adversarials)


@pytest.mark.parametrize("at_once", [1, 3])
def test_every_target_of_a_sample_is_tried(at_once: int) -> None:
    net, x, y = digits()
    wide = ThreatModel("linf", 1.0, targeted=True)
    own = OnAnother(attack=Walk(), model=linear_model(4, (6,), seed=1))
    result = run(own, net, x, y, wide, targets="each", targets_at_once=at_once)
    direct = run(Walk(), net, x, y, wide, targets="each", targets_at_once=at_once, early_end=False)
    assert torch.equal(result.success, direct.success)
    assert (net(result.adversarials).argmax(1) == result.target)[result.success].all()


def test_each_sample_has_its_own_budget_and_target() -> None:
    net, x, y = digits()
    epsilon = torch.linspace(0.01, 1.0, len(x), dtype=torch.float64)
    own = OnAnother(attack=Walk(), model=linear_model(4, (6,), seed=1))
    threat = ThreatModel("linf", 1.0, targeted=True)
    result = run(own, net, x, y, threat, targets=(y + 1) % 4, epsilon=epsilon)
    assert result.success.any()
    assert (result.distance <= epsilon * (1 + 1e-6))[result.success].all()
    assert (net(result.adversarials).argmax(1) == (y + 1) % 4)[result.success].all()


def test_samples_that_the_own_model_gets_wrong_are_attacked_all_the_same() -> None:
    net, x, y = digits()
    other = linear_model(4, (6,), seed=5)
    wrong = other(x).argmax(1) != y
    assert wrong.any()
    result = run(OnAnother(attack=Walk(), model=other), net, x, y, ThreatModel("linf", 0.6))
    assert result.forwards[wrong].all()
    assert result.success[wrong].any()


def test_progress_goes_through_the_steps_of_the_inner_attack() -> None:
    net, x, y = digits()
    seen: list[tuple[int, int]] = []
    own = OnAnother(attack=Walk(), model=linear_model(4, (6,), seed=2))
    run(own, net, x, y, LINF, progress=lambda done, total, _: seen.append((done, total)))
    assert seen[0] == (1, 8)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_attack_in_stages_is_refused() -> None:
    class Staged(Walk):
        def stages(self, problem: Problem) -> list[object]:  # type: ignore[override]
            return []

    net, x, y = digits()
    with pytest.raises(InvalidInput, match="name one of its attacks instead"):
        run(OnAnother(attack=Staged(), model=linear_model(4, (6,))), net, x, y, LINF)


@pytest.mark.parametrize("shape", [(5,), (1, 4, 4), (3, 9, 13), (1, 28, 28)])
def test_the_small_network_takes_images_and_vectors(shape: tuple[int, ...]) -> None:
    assert small_network(shape, 7)(torch.rand(2, *shape)).shape == (2, 7)


def test_an_ensemble_is_a_defended_model() -> None:
    model: DefendedModel = Ensemble([linear_model(3, (5,), dtype=torch.float32)], 3, (-1.0, 1.0))
    assert model.decide(torch.rand(2, 5)).accepted.all()
    assert model.bounds == (-1.0, 1.0)


def test_losses_of_a_user_reach_the_own_model() -> None:
    seen: list[tuple[int, ...]] = []

    class Spy(Loss):
        def __call__(self, view: View) -> ep.Tensor:
            seen.append(tuple(view.logits.shape))
            return CrossEntropy()(view)

    net, x, y = digits()
    run(OnAnother(attack=Walk(), model=linear_model(4, (6,), seed=2)), net, x, y, LINF, loss=Spy())
    assert len(seen) > 1
