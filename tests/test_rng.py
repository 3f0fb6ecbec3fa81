from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from advplug.numerics.random_numbers import Noise
from advplug.numerics.starting_points import random_start


def test_uniform_and_normal_have_their_distributions() -> None:
    noise = Noise.of(0, torch.arange(50), 0)
    uniform = noise.uniform(0, (1000,)).flatten().numpy()
    normal = noise.normal(0, (100,), draws=10).flatten().numpy()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest(normal, "norm").pvalue > 1e-3


def test_streams_of_neighbouring_keys_are_uncorrelated() -> None:
    """Seeds, samples, rounds, steps and draws next to each other share nothing."""
    base = Noise.of(1, torch.tensor([5]), 2).normal(3, (20_000,))
    others = [
        Noise.of(2, torch.tensor([5]), 2).normal(3, (20_000,)),
        Noise.of(1, torch.tensor([6]), 2).normal(3, (20_000,)),
        Noise.of(1, torch.tensor([5]), 3).normal(3, (20_000,)),
        Noise.of(1, torch.tensor([5]), 2).normal(4, (20_000,)),
        Noise.of(1, torch.tensor([5]), 2).normal(3, (20_000,), 1, 1),
        Noise.of(1, torch.tensor([5]), 2).tiled(1).normal(3, (20_000,)),
    ]
    for other in others:
        assert abs(torch.corrcoef(torch.stack((base.flatten(), other.flatten())))[0, 1]) < 0.03


@settings(max_examples=30)
@given(st.integers(-(2**40), 2**70), st.integers(1, 9), st.integers(0, 8), st.integers(0, 500))
def test_a_sample_draws_the_same_numbers_in_any_batch_and_chunk(seed: int, size: int, one: int, step: int) -> None:
    everyone = Noise.of(seed, torch.arange(9), 1)
    alone = Noise.of(seed, torch.tensor([one]), 1)
    assert torch.equal(everyone.normal(step, (size,), 4)[:, one], alone.normal(step, (size,), 4)[:, 0])
    assert torch.equal(everyone.normal(step, (size,), 4)[2:], everyone.normal(step, (size,), 2, 2))
    assert torch.equal(everyone.tiled(3).keys.view(3, 9)[1], everyone.tiled(1, 1).keys)


def test_random_starts_fill_the_ball() -> None:
    """Radii of uniform points in a ball: the d-th power of the norm is uniform; l0 chooses exactly epsilon places."""
    size, epsilon = 6, torch.full((2000,), 0.7)
    clean, noise = torch.zeros(2000, size), Noise.of(0, torch.arange(2000), 0)
    for norm, order in (("l2", 2.0), ("l1", 1.0)):
        delta = random_start(norm, clean, epsilon, noise, 1.0)
        radius = (delta.norm(order, dim=1) / 0.7) ** size
        assert stats.kstest(radius.numpy(), "uniform").pvalue > 1e-3
        assert delta.mean(0).abs().max() < 0.03
    box = random_start("linf", clean, epsilon, noise, 1.0)
    assert stats.kstest((box.flatten() / 1.4 + 0.5).numpy(), "uniform").pvalue > 1e-3
    sparse = random_start("l0", clean, torch.full((2000,), 2.0), noise, 1.0)
    assert ((sparse != 0).sum(1) == 2).all()
