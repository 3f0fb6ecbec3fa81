"""The search itself: checkpoints, step halving for each sample, and losses that saturate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from advplug_attack_apgd._apgd import APGD, State, sparse_sign
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.attack import Task
from advplug.errors import InvalidInput
from advplug.losses import CrossEntropy, Margin
from advplug.numerics import raw, wrap
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import linear_model
from advplug.testing.models import linear_case

LINF = ThreatModel("linf", 0.1)


def confident(scale: float) -> tuple[nn.Module, Tensor, Tensor]:
    """A linear model whose logits are ``scale`` times larger, and inputs that all can be broken."""
    model = linear_model(3, (100,), seed=3, dtype=torch.float32)
    x = torch.rand(200, 100, generator=torch.Generator().manual_seed(0))
    gap = (model(x).topk(2).values @ torch.tensor([1.0, -1.0])).detach()
    x = x[(gap > 5) & (gap < 7)]

    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return scale * model(x)  # type: ignore[no-any-return]

    return Scaled(), x, model(x).argmax(1)


def test_goes_on_where_cross_entropy_is_zero() -> None:
    """At a gap of 60 to 84 cross-entropy is zero in float32, its gradient is not. ART stops there."""
    model, x, y = confident(12.0)
    assert (nn.functional.cross_entropy(model(x), y, reduction="none") == 0).all()
    assert run(APGD(), model, x, y, LINF, loss=CrossEntropy()).success.all()
    evasion, estimators = (
        pytest.importorskip("art.attacks.evasion"),
        pytest.importorskip("art.estimators.classification"),
    )
    classifier = estimators.PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (100,), 3, clip_values=(0, 1), device_type="cpu"
    )
    peer = evasion.AutoProjectedGradientDescent(
        classifier, eps=0.1, eps_step=0.01, max_iter=100, nb_random_init=1, loss_type=None, verbose=False
    )
    np.random.seed(0)  # of which ART draws its start: a lucky one may have a loss that is not zero
    theirs = model(torch.tensor(peer.generate(x.numpy(), torch.eye(3)[y].numpy()))).argmax(1) != y
    assert not theirs.any()


def test_another_loss_goes_on_where_the_gradient_is_zero_too() -> None:
    model, x, y = confident(10_000.0)
    blind = run(APGD(random_start=False), model, x, y, LINF, loss=CrossEntropy())
    assert not blind.success.any()
    assert (blind.forwards == 101).all(), "it does not stop"
    assert (blind.unusable_gradients == 100).all(), "and says that it saw nothing"
    assert run(APGD(), model, x, y, LINF, loss=Margin()).success.all()


def test_checkpoints_are_those_of_the_paper() -> None:
    assert APGD(steps=100)._windows("linf") == {22: 22, 41: 19, 57: 16, 70: 13, 80: 10, 87: 7, 93: 6, 99: 6}
    assert list(APGD(steps=100)._windows("l1")) == list(range(4, 100, 4))
    for steps in (1, 2, 7, 30):
        for norm in ("linf", "l1"):
            windows = APGD(steps=steps)._windows(norm)
            assert all(1 <= since <= t for t, since in windows.items())


class Watching(APGD):
    """Keeps every state."""

    def step(self, task: Task, state: State) -> State:
        after = super().step(task, state)
        if not hasattr(self, "states"):
            self.states: list[State] = []
        self.states.append(after)
        return after


def two_kinds() -> tuple[nn.Module, Tensor, Tensor]:
    """For the first sample the loss falls at every step; for the second it is flat behind the first step's reach."""

    class Kinds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            steady, bowl = x[:, :1], (x[:, 1:] - 0.53).square().sum(1, keepdim=True)
            z = torch.where(x[:, :1] > 0.25, 5 + steady, 5 + 20 * bowl)
            return torch.cat((z, 0 * z), 1)

    x = torch.tensor([[0.6, 0.5, 0.5], [0.1, 0.5, 0.5]], dtype=torch.float64)
    return Kinds(), x, torch.zeros(2, dtype=torch.int64)


def test_each_sample_halves_its_own_step_and_returns_to_its_best_point() -> None:
    model, x, y = two_kinds()
    attack = Watching(random_start=False)
    result = run(attack, model, x, y, ThreatModel("linf", 0.1), loss=Margin(), early_end=False)
    etas = torch.stack([raw(state.eta) for state in attack.states])
    assert (etas[0] == 0.2).all(), "the first step is twice the budget"
    ratio = etas[1:] / etas[:-1]
    assert torch.equal(ratio[(ratio != 1)].unique(), torch.tensor([0.5], dtype=torch.float64))
    moments = [t + 1 for t in range(len(ratio)) if (ratio[t] != 1).any()]
    assert set(moments) <= set(attack._windows("linf"))
    assert etas[-1, 1] < 0.2, "the bowl needs shorter steps"
    best = torch.stack([raw(state.best_loss) for state in attack.states])
    assert (best.diff(dim=0) <= 0).all()
    t = next(t for t in moments if ratio[t - 1, 1] == 0.5)
    returned = attack.states[t]
    assert torch.equal(raw(returned.previous)[1], raw(returned.best_x)[1])
    assert result.trace[:, 1].min() < 5 + 1e-4, "it settles in the bowl"


@pytest.mark.parametrize(("momentum", "second"), [(0.75, 0.6 - 0.75 * 0.2 + 0.25 * 0.1), (1.0, 0.4)])
def test_momentum_counts_from_the_second_step(momentum: float, second: float) -> None:
    """In the bowl around 0.53: from 0.5 up to the edge at 0.6, then down to the other edge, less what moved up."""
    model, x, y = two_kinds()
    attack = Watching(random_start=False, momentum=momentum, steps=50)
    run(attack, model, x, y, ThreatModel("linf", 0.1), loss=Margin(), early_end=False)
    path = [float(raw(state.x)[1, 1]) for state in attack.states[:2]]
    assert path == pytest.approx([0.6, second])


def test_under_l1_steps_become_sparse() -> None:
    case = linear_case(4, dtype=torch.float64)
    attack = Watching()
    run(attack, case.model, case.inputs, case.labels, ThreatModel("l1", 1.0), loss=Margin(), early_end=False)
    densities = torch.stack([raw(state.density) for state in attack.states])
    assert (densities[0] == 0.2).all()
    assert (densities[-1] < 0.2).all()
    etas = torch.stack([raw(state.eta) for state in attack.states])
    assert etas.max() == 1.0
    assert etas.min() >= 0.1 - 1e-12


def test_under_l1_the_ball_shrinks_to_the_budget() -> None:
    """Three times the budget, twice from 30 % of the steps on, the budget itself from 60 % on."""
    case = linear_case(4, dtype=torch.float64)

    def lengths(attack: Watching) -> list[float]:
        threat = ThreatModel("l1", 0.2)
        result = run(attack, case.model, case.inputs, case.labels, threat, loss=Margin(), early_end=False)
        assert (result.distance[result.success] <= 0.2 * (1 + 1e-6)).all()
        return [(raw(state.x) - case.inputs).flatten(1).abs().sum(1).max().item() for state in attack.states]

    several = lengths(Watching(larger_radii=True))
    assert [max(part) for part in (several[:30], several[31:60], several[61:])] == pytest.approx([0.6, 0.4, 0.2])
    assert max(lengths(Watching())) == pytest.approx(0.2)


def test_larger_radii_first_leave_fewer_robust_digits() -> None:
    net, x, y = shipped_digits("mnist-at")
    left = [
        run(APGD(larger_radii=larger), net, x, y, ThreatModel("l1", 8.0), loss=Margin()).robust_accuracy
        for larger in (True, False)
    ]
    assert left[0] <= left[1]


def test_sparse_steps_move_the_largest_values_only() -> None:
    g = torch.tensor([[0.1, -3.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    step = raw(sparse_sign(wrap(g), wrap(torch.tensor([0.4, 0.4]))))
    torch.testing.assert_close(step, torch.tensor([[0.0, -0.5, 0.5, 0.0, 0.0], [0.0] * 5]))
    least = raw(sparse_sign(wrap(g), wrap(torch.tensor([0.0, 0.0]))))
    torch.testing.assert_close(least[0], torch.tensor([0.0, -1.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"steps": 0}, "steps is 0: give at least 1"),
        ({"rho": 0.0}, r"rho is 0.0: give a number in \(0, 1\]"),
        ({"rho": 2.0}, r"in \(0, 1\]"),
        ({"momentum": 0.0}, r"momentum is 0.0: give a number in \(0, 1\]"),
    ],
)
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        APGD(**options)
