"""The mixing against its formula: partners, shares and the mean of probabilities."""

from __future__ import annotations

import pytest
import torch
from advplug_defense_mixup_inference._model import Mixing, Unmixed
from torch import Tensor, nn

from advplug.data import Images
from advplug.errors import InvalidInput

CLASSES, SIDE = 4, 3


class Telling(nn.Module):
    """Scores of class c are the brightness of row c, so that a mixture tells what was mixed in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return 5 * x.mean((1, 3))


def pool(per_class: int = 3) -> Images:
    """Images of class c whose corner holds ``c + place / 10``, scaled by 0.1: each one can be told from all others."""
    labels = torch.arange(CLASSES).repeat(per_class)
    places = torch.arange(per_class).repeat_interleave(CLASSES)
    inputs = torch.zeros(len(labels), 1, CLASSES, SIDE) + 0.1 * (labels + places / 10).view(-1, 1, 1, 1)
    return Images(inputs, labels, tuple("abcd"), "pool")


def model(share: float = 0.6, draws: int = 15) -> Mixing:
    mixing = Mixing(Telling(), share=share, draws=draws, num_classes=CLASSES).eval()
    mixing.admit(pool())
    return mixing


def inputs(count: int) -> Tensor:
    x = torch.zeros(count, 1, CLASSES, SIDE)
    x[torch.arange(count), 0, torch.arange(count) % CLASSES] = 1  # class = row number
    return x


def test_partners_come_evenly_from_the_other_classes() -> None:
    mixing, x = model(draws=400), inputs(8)
    torch.manual_seed(0)
    mixing(x)
    assert isinstance(mixing.base, Telling)
    clean, mixtures = mixing.base.seen
    assert torch.equal(clean, x)
    partners = (mixtures.unflatten(0, (400, 8)) - 0.6 * x) / 0.4
    told = partners[:, :, 0, 0, 0] / 0.1  # class + place / 10
    classes, places = told.round(decimals=1).floor(), (10 * (told - told.round(decimals=1).floor())).round()
    for sample in range(8):
        own = sample % CLASSES
        counts = torch.bincount(classes[:, sample].long(), minlength=CLASSES).double() / 400
        assert counts[own] == 0
        others = counts[[c for c in range(CLASSES) if c != own]]
        assert bool(((others - 1 / 3).abs() < 0.1).all())
    assert set(places.flatten().tolist()) == {0.0, 1.0, 2.0}


def test_scores_are_the_logarithm_of_the_mean_probability() -> None:
    mixing, x = model(), inputs(6)
    torch.manual_seed(1)
    scores = mixing(x)
    assert isinstance(mixing.base, Telling)
    mixtures = mixing.base.seen[1].unflatten(0, (15, 6))
    expected = torch.stack([(5 * each.mean((1, 3))).softmax(1) for each in mixtures]).mean(0)
    assert torch.allclose(scores.exp(), expected, atol=1e-6)
    assert torch.allclose(scores.softmax(1), expected, atol=1e-6)


def test_confident_networks_leave_finite_scores() -> None:
    mixing = Mixing(nn.Sequential(Telling(), Scaled()), share=0.6, draws=3, num_classes=CLASSES).eval()
    mixing.admit(pool())
    assert bool(mixing(inputs(4)).isfinite().all())


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 1000 * x


def test_draws_are_fresh_and_belong_to_the_generator() -> None:
    mixing, x = model(draws=2), inputs(16)
    torch.manual_seed(0)
    first, second = mixing(x), mixing(x)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(first, mixing(x))
    assert mixing.capabilities.sample is not None
    state = torch.get_rng_state()
    one, again = (mixing.sample(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert mixing.stochastic


def test_the_gradient_goes_through_the_share_of_the_input() -> None:
    mixing, x = model(share=0.25, draws=7), inputs(4).requires_grad_()
    scores = mixing(x)
    (gradient,) = torch.autograd.grad(scores[:, 0].sum(), x)
    # d score / d x = share * d score / d mixture: rows other than the first pull the first score down.
    assert bool((gradient[:, 0, 0] > 0).all())
    assert bool((gradient[:, 0, 1:] < 0).all())
    assert float(gradient.abs().max()) <= 0.25 * 5 / SIDE + 1e-6


def test_without_partners_it_says_what_to_do() -> None:
    mixing = Mixing(Telling(), share=0.6, draws=3, num_classes=CLASSES)
    with pytest.raises(InvalidInput, match="admit"):
        mixing(inputs(2))
    half = pool()
    with pytest.raises(InvalidInput, match="each of 4 classes"):
        mixing.admit(half[half.labels > 0])


def test_the_pool_is_no_part_of_the_weights() -> None:
    assert not any(key.startswith(("partners", "first")) for key in model().state_dict())
    control = Unmixed(Telling(), num_classes=CLASSES)
    assert torch.equal(control(inputs(2)), 5 * inputs(2).mean((1, 3)))
