"""JSMA: the most salient pair, both directions, ART's attack on the same digits."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_sparse import JSMA
from advplug_attack_sparse._saliency import best_pair, best_single
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import linear_model

ART = {1.0: 46.5, -1.0: 54.6}
"""Mean number of values that ART 1.20.1's SaliencyMapMethod changes, over the successes, for where it is missing."""


def brute_force(alpha: Tensor, beta: Tensor) -> Tensor:
    """The saliency of the best of all pairs, (n,)."""
    a = alpha[:, :, None] + alpha[:, None]
    b = beta[:, :, None] + beta[:, None]
    value = torch.where((a > 0) & (b < 0), -a * b, -torch.inf)
    value.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    return value.flatten(1).amax(1)


@settings(max_examples=80)
@given(st.integers(0, 10_000), st.integers(2, 40), st.floats(-1, 1))
def test_the_pair_is_the_best_of_all(seed: int, units: int, correlation: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, 5, units, generator=generator, dtype=torch.float64).mul(3).round()  # with ties
    alpha, beta = first, -(correlation * first + (1 - abs(correlation)) * second)
    closed = torch.rand(5, units, generator=generator) < 0.2
    alpha, beta = alpha.masked_fill(closed, -torch.inf), beta.masked_fill(closed, torch.inf)
    pair, saliency = best_pair(alpha, beta)
    torch.testing.assert_close(saliency, brute_force(alpha, beta))
    found = saliency > 0
    assert (pair.sum(1) == 2)[found].all()
    a, b = (torch.where(pair, part, 0).sum(1) for part in (alpha, beta))
    torch.testing.assert_close((-a * b)[found], saliency[found])


def test_a_single_unit_must_raise_the_target_and_lower_the_rest() -> None:
    alpha, beta = torch.tensor([[3.0, 2.0, 5.0]]), torch.tensor([[-1.0, -4.0, 1.0]])
    unit, saliency = best_single(alpha, beta)
    assert unit.tolist() == [[False, True, False]]
    assert saliency.item() == 8
    assert best_single(-alpha, beta)[1].item() <= 0


@pytest.mark.parametrize("theta", ART)
def test_as_few_values_as_art(theta: float) -> None:
    net, x, y = shipped_digits("mnist", 8, "adversarial-training")
    targets = (y + 1) % 10
    attack = JSMA(direction="up" if theta > 0 else "down")
    ours = run(attack, net, x, y, ThreatModel("l0", targeted=True), targets=targets)
    theirs = ART[theta]
    try:
        from art.attacks.evasion import SaliencyMapMethod
        from art.estimators.classification import PyTorchClassifier
    except ImportError:
        pass
    else:
        model = PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1))
        peer = SaliencyMapMethod(model, theta=theta, gamma=1.0, batch_size=8, verbose=False)
        points = torch.from_numpy(peer.generate(x.numpy(), y=targets.numpy()))
        reached = net(points).argmax(1) == targets
        theirs = (points != x).flatten(1).sum(1)[reached].double().mean().item()
        assert ours.success.sum() >= reached.sum()
    assert ours.distance.nanmean() <= 1.05 * theirs


def test_the_sparser_of_both_directions_counts() -> None:
    net, x, y = shipped_digits("mnist", 10, "adversarial-training")
    up, down, both = (run(JSMA(direction=way), net, x, y, ThreatModel("l0")) for way in ("up", "down", "both"))
    least = torch.fmin(up.distance, down.distance)
    assert torch.equal(both.distance, least)
    assert (up.distance < down.distance).any()
    assert (down.distance < up.distance).any()
    assert (both.adversarials >= x).flatten(1).all(1).logical_or((both.adversarials <= x).flatten(1).all(1)).all()


def test_a_small_theta_moves_a_value_again_and_again() -> None:
    model = linear_model(2, (1, 3, 3), seed=0)
    x = torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    whole, small = (run(JSMA(theta=theta, pairs=False), model, x, y, ThreatModel("l0")) for theta in (1.0, 0.05))
    far, near = ((one.adversarials - x).abs().flatten(1).sum(1) for one in (whole, small))
    both = whole.success & small.success
    assert both.sum() >= 3
    assert (small.forwards > whole.forwards)[both].all()
    assert (near < far)[both].all()


def test_slopes_alone_choose_values_that_can_hardly_move() -> None:
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    length, slope = (run(JSMA(weighted=each), net, x, y, ThreatModel("l0")) for each in (True, False))
    assert length.success.all()
    assert length.distance.median() < slope.distance.nanmedian()


def test_gamma_is_the_share_that_may_change() -> None:
    net, x, y = shipped_digits("mnist", 10, "adversarial-training")
    free, few = (run(JSMA(gamma=gamma), net, x, y, ThreatModel("l0")) for gamma in (1.0, 12 / 784))
    assert torch.equal(few.success, free.distance <= 12)
    assert few.success.any()
    assert not few.success.all()


def test_each_step_takes_two_backward_passes_whatever_the_number_of_classes() -> None:
    net, x, y = shipped_digits("mnist", 4, "adversarial-training")
    result = run(JSMA(), net, x, y, ThreatModel("l0"))
    assert torch.equal(result.backwards, 2 * result.forwards)
