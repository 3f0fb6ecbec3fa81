"""Where the gradients of cross-entropy and of the target's logit vanish (Ozbulak et al., theorem IV.2)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from advplug.losses import CrossEntropy, Logit, Loss, MultiTargetLogit, View
from advplug.model import PlainModel
from advplug.numerics.tensors import raw, wrap

CLASSES = 5


class Sharp(nn.Module):
    """A network whose logits are ``factor`` times as large, so that its softmax is as sure as one likes."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.inner = nn.Sequential(nn.Linear(12, 40), nn.Tanh(), nn.Linear(40, CLASSES)).double()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.inner(x)


def points(count: int = 40) -> Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradient(net: nn.Module, x: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Of ``loss`` towards ``targets`` at ``x``, like ``x``."""
    point = x.clone().requires_grad_()
    model = PlainModel(net, CLASSES)
    view = View(model, wrap(point), wrap(net(point)), wrap(targets), wrap(targets), wrap(targets), {})
    return torch.autograd.grad(raw(loss(view)).sum(), point)[0]


def logit_gradients(net: nn.Module, x: Tensor) -> Tensor:
    """Of every logit at ``x`` (n, d): (n, K, d)."""
    return torch.stack([-gradient(net, x, torch.full((len(x),), m), Logit()) for m in range(CLASSES)], 1)


def ends(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The most and the second likeliest class, int64 (n,)."""
    top = net(x).topk(2, dim=1).indices
    return top[:, 0], top[:, 1]


@pytest.mark.parametrize("factor", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("target", range(CLASSES))
def test_gradient_of_cross_entropy_is_a_sum_over_classes(factor: float, target: int) -> None:
    net, x = Sharp(factor), points()
    goal = torch.full((len(x),), target)
    each = logit_gradients(net, x)
    expected = (net(x).softmax(1)[:, :, None] * (each - each[:, target : target + 1])).sum(1)
    assert (gradient(net, x, goal, CrossEntropy()) - expected).abs().max() < 1e-9


def test_far_from_the_target_it_suppresses_the_first_class_at_full_rate() -> None:
    net, x = Sharp(1000.0), points()
    first, goal = ends(net, x)
    sure = net(x).softmax(1).amax(1) > 1 - 1e-12
    assert sure.sum() > 20
    each, rows = logit_gradients(net, x), torch.arange(len(x))
    limit = each[rows, first] - each[rows, goal]
    gap = (gradient(net, x, goal, CrossEntropy()) - limit).norm(dim=1)[sure]
    assert (gap < 1e-9 * limit.norm(dim=1)[sure]).all()
    assert (limit.norm(dim=1) > each[rows, goal].norm(dim=1)).double().mean() > 0.7, "more than the logit alone"


def test_far_from_the_target_both_logits_move_as_under_cross_entropy() -> None:
    net, x = Sharp(1000.0), points()
    goal = ends(net, x)[1]
    sure = net(x).softmax(1).amax(1) > 1 - 1e-12
    one, other = (gradient(net, x, goal, loss)[sure] for loss in (CrossEntropy(), MultiTargetLogit()))
    torch.testing.assert_close(one, other)


def test_inside_the_target_cross_entropy_vanishes_and_the_logit_does_not() -> None:
    net, x = Sharp(300.0), points()
    goal = ends(net, x)[0]
    inside = net(x).softmax(1).amax(1) > 1 - 1e-7
    assert inside.sum() > 20
    size = {loss: gradient(net, x, goal, loss).norm(dim=1)[inside] for loss in (CrossEntropy(), Logit())}
    before = logit_gradients(net, x).norm(dim=2).mean()
    assert (size[CrossEntropy()] < 1e-6 * before).all()
    assert size[Logit()].min() > 0.1 * before


def test_in_floats_its_sign_vanishes_only_where_the_other_probabilities_underflow() -> None:
    x = points(200)
    zero = {}
    for factor in (10.0, 100_000.0):
        net = Sharp(factor).float()
        slope = gradient(net, x.float(), ends(net, x.float())[0], CrossEntropy())
        zero[factor] = (slope.sign() == 0).float().mean()
        other = net(x.float()).softmax(1).topk(2, dim=1).values[:, 1]
        assert ((slope == 0).all(1) == (other == 0)).all()
    assert zero[10.0] == 0
    assert zero[100_000.0] > 0.5
