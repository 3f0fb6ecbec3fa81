"""The differentiable form: its gradient is that of its definition, and defenses can train through it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_high_confidence import HighConfidence, closest_targets, unrolled
from torch import Tensor, nn
from torch.func import functional_call

from advplug.api import run
from advplug.errors import InvalidInput
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

NORMS: list[Any] = ["l2", "linf"]


def smooth_net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)  # as confident as a trained one
    return net


def points(count: int = 5) -> Tensor:
    return torch.rand(count, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def by_hand(
    net: nn.Module, weights: dict[str, Tensor], x: Tensor, t: Tensor, chain: list[Any], *, c: float, norm: str
) -> Tensor:
    """``x_adv`` at ``weights`` with the points of ``chain`` held fixed; fills an empty chain on its first call.

    The stop is ``s_j = round(sigmoid(C - p_t))`` at the weights of the chain, and moves with the sigmoid.
    """
    go, r = torch.ones(len(x), dtype=x.dtype), torch.zeros_like(x)
    first = not chain
    for i in range(3):
        point = (x + 1.05 * r).detach() if first else chain[i][0]
        point = point.requires_grad_()
        log_p = functional_call(net, weights, (point,)).log_softmax(1)[torch.arange(len(x)), t]
        (w,) = torch.autograd.grad(log_p.sum(), point)
        soft = torch.sigmoid(c - log_p.detach().exp())
        if first:
            chain.append((point.detach(), soft))
        go = go * (chain[i][1].round() + soft - chain[i][1])
        gap = (torch.log(torch.tensor(c, dtype=x.dtype)) - log_p.detach()).abs()[:, None]
        if norm == "l2":
            size = (w.square().sum(1, keepdim=True) + 1e-8).sqrt()
            step = (gap / size + 1e-4) * w / size
        else:
            step = (gap / w.abs().sum(1, keepdim=True) + 1e-4 / x.shape[1] ** 0.5) * w.sign()
        r = r + go[:, None] * step
    return x + 1.05 * r


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_agree_with_finite_differences_of_the_detached_chain(norm: Any) -> None:
    net, x, c = smooth_net(), points(), 0.6
    t = closest_targets(net, x)
    x_adv, r = unrolled(net, x, t, c, steps=3, overshoot=0.05, norm=norm)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    gradients = torch.autograd.grad((direction * x_adv).sum(), list(net.parameters()))
    weights = {name: value.detach() for name, value in net.named_parameters()}
    chain: list[Any] = []
    torch.testing.assert_close(by_hand(net, weights, x, t, chain, c=c, norm=norm), x_adv)
    torch.testing.assert_close(x_adv, x + 1.05 * r)
    stops = torch.stack([soft for _, soft in chain]).round()
    assert 0 < stops[-1].sum() < len(x), "some samples should have stopped, others not"
    h = 1e-6
    for (name, value), gradient in zip(weights.items(), gradients, strict=True):
        numeric = torch.empty_like(value)
        for i in range(value.numel()):
            shift = torch.zeros_like(value).flatten()
            shift[i] = h
            above, below = (
                (
                    direction
                    * by_hand(net, {**weights, name: value + sign * shift.view_as(value)}, x, t, chain, c=c, norm=norm)
                )
                .sum()
                .item()
                for sign in (1, -1)
            )
            numeric.view(-1)[i] = (above - below) / (2 * h)
        assert (gradient - numeric).norm() <= 1e-3 * numeric.norm(), name


@pytest.mark.parametrize("norm", NORMS)
def test_one_step_on_two_classes_is_the_closed_form(norm: Any) -> None:
    """``log p_t = log sigmoid(m)``, whose gradient is ``sigmoid(-m) (w_t - w_y)``."""
    model = linear_model(2, (24,))
    x = 3 * torch.rand(16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    x_adv, _ = unrolled(model, x, 1 - y, 0.9, steps=1, overshoot=0.0, norm=norm)
    weight = model[1].weight.detach()
    v = weight[1 - y] - weight[y]
    m = (v * x).sum(1)
    gap = torch.log(torch.tensor(0.9, dtype=torch.float64)) + torch.nn.functional.softplus(-m)
    slope = torch.sigmoid(-m)
    expected = (
        (gap / slope / v.norm(dim=1) + 1e-4)[:, None] * v / v.norm(dim=1, keepdim=True)
        if norm == "l2"
        else (gap / slope / v.abs().sum(1) + 1e-4 / 24**0.5)[:, None] * v.sign()
    )
    torch.testing.assert_close(x_adv.detach(), x + expected, rtol=1e-5, atol=1e-7)
    far = m < -6  # where log sigmoid is straight, one step arrives up to curvature
    assert far.any()
    reached = (v * x_adv.detach()).sum(1)
    assert (reached[far] <= torch.log(torch.tensor(9.0)) + 0.01).all(), "a concave function: never beyond"
    assert (reached[far] > m[far] / 2).all()


@pytest.mark.parametrize("norm", NORMS)
def test_it_is_the_attack(norm: Any) -> None:
    """Inside the bounds and with steps of any length both give the same points."""
    model = linear_model(4, (24,))
    x = 0.4 + 0.2 * torch.rand(16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    attack = HighConfidence(confidence=0.7, steps=8, clip=float("inf"), overshoot=0.05)
    result = run(attack, model, x, y, ThreatModel(norm, None, (0.0, 1.0)))
    targets = closest_targets(model, x, norm=norm)
    with torch.no_grad():
        x_adv, _ = unrolled(model, x, targets, 0.7, steps=8, norm=norm)
    assert result.success.sum() >= 12
    assert not x_adv.requires_grad
    torch.testing.assert_close(x_adv[result.success], result.adversarials[result.success], rtol=0, atol=1e-6)


def test_a_training_step_through_it_lowers_the_confidence_of_its_examples() -> None:
    net, x = smooth_net(), points(32)
    t = closest_targets(net, x)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)

    def confidence() -> Tensor:
        x_adv, _ = unrolled(net, x, t, 0.9, steps=2)
        return net(x_adv).softmax(1).gather(1, t[:, None]).mean()

    before = confidence()
    before.backward()
    assert all(parameter.grad is not None and bool(parameter.grad.isfinite().all()) for parameter in net.parameters())
    optimiser.step()
    assert confidence() < before


def test_training_for_long_ways_makes_them_longer() -> None:
    """The path of the gradient that fixed examples do not have: through the perturbation itself."""
    net, x = smooth_net(), points(32)
    t = closest_targets(net, x)

    def way() -> Tensor:
        return unrolled(net, x, t, 0.8)[1].norm(dim=1).mean()

    before = way()
    gradients = torch.autograd.grad(before, list(net.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            parameter.add_(gradient, alpha=0.01)
    assert way() > before


def test_inputs_get_the_gradient_of_a_constant_shift() -> None:
    net, x = smooth_net(), points().requires_grad_()
    x_adv, _ = unrolled(net, x, net(x).argmin(1), 0.8)
    (gradient,) = torch.autograd.grad((3 * x_adv).sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, 3))


def test_samples_whose_target_is_their_label_and_confident_ones_stay() -> None:
    net, x = smooth_net(), points()
    t = net(x).argmin(1)
    labels = t.clone()
    labels[0] = (t[0] + 1) % 3
    _, r = unrolled(net, x, t, 0.8, labels=labels)
    assert r[0].abs().sum() > 0
    assert not r[1:].any()
    with torch.no_grad():
        _, r = unrolled(net, x, t, net(x).softmax(1).gather(1, t[:, None]).squeeze(1))
    assert not r.any(), "p_t is C already"


def test_bad_arguments() -> None:
    net, x = smooth_net(), points()
    t = net(x).argmin(1)
    with pytest.raises(InvalidInput, match="above 0"):
        unrolled(net, x, t, 1.2)
    with pytest.raises(InvalidInput, match="l2 or linf"):
        unrolled(net, x, t, 0.8, norm="l1")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="at least 1"):
        unrolled(net, x, t, 0.8, steps=0)
