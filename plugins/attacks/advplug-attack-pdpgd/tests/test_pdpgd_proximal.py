"""Every proximal operator minimises what it says, against searches that know nothing of the closed forms."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_pdpgd import _proximal
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from advplug.numerics import PROJECTIONS

POWERS = {"l1": 1.0, "two_thirds": 2 / 3, "half": 0.5, "l0": 0.0}


def vectors(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    v = 3 * torch.randn(100, 5, generator=generator, dtype=torch.float64)
    v[::4] /= 30  # some vanish
    return v, 2 * torch.rand(100, 5, generator=generator, dtype=torch.float64) + 0.01


@pytest.mark.parametrize("name", POWERS)
def test_penalties_that_are_sums_match_a_fine_grid(name: str) -> None:
    v, mu = (part.flatten()[:, None] for part in vectors())
    z = getattr(_proximal, name)(v, mu)

    def cost(z: Tensor) -> Tensor:
        size = (z != 0).double() if name == "l0" else z.abs().pow(POWERS[name])
        return mu * size + (z - v).square() / 2

    grid = v * torch.linspace(0, 1, 20001, dtype=torch.float64)
    least, at = cost(grid).min(1, keepdim=True)
    assert (cost(z) <= least + 1e-12).all()
    assert (cost(z) - least).abs().max() < 1e-5
    close = (z - grid.gather(1, at)).abs() < 1e-3
    assert (close | ((cost(torch.zeros_like(z)) - cost(z)).abs() < 1e-5)).all(), "another minimiser, and no tie"


@pytest.mark.parametrize("name", ["linf", "l2"])
def test_norms_match_a_search_over_one_number(name: str) -> None:
    """Where the level (linf) or the length (l2) of z is given, the best values are known one by one."""
    v, mu = vectors()
    z = getattr(_proximal, name)(v, mu)

    def at(s: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(v, -s), s) if name == "linf" else v * s / (s + mu)

    def cost(s: Tensor) -> Tensor:
        """``s + sum (z - v)^2 / (2 mu)``; for a length, ``||z||`` as the least ``(||z||^2 / s + s) / 2``."""
        if name == "linf":
            return s + ((at(s) - v).square() / (2 * mu)).sum(1, keepdim=True)
        return (s + (v.square() / (s + mu)).sum(1, keepdim=True)) / 2

    low, high = torch.zeros(100, 1, dtype=torch.float64), v.norm(dim=1, keepdim=True)
    for _ in range(200):  # ternary search
        a, b = low + (high - low) / 3, high - (high - low) / 3
        falls = cost(a) > cost(b)
        low, high = torch.where(falls, a, low), torch.where(falls, high, b)
    assert (z - at((low + high) / 2)).abs().max() < 1e-5
    assert 0 < int((z.abs().amax(1) < 1e-6).sum()) < 100, "some vectors should vanish and some not"


def test_one_weight_for_all_is_what_the_projection_leaves() -> None:
    """Moreau: prox of the largest magnitude plus the projection onto the L1 ball give back the vector."""
    v, mu = vectors()
    mu = mu[:, :1]
    room = torch.full_like(v, torch.inf)
    torch.testing.assert_close(_proximal.linf(v, mu) + PROJECTIONS["l1"](v, mu, -room, room), v)
    length = v.norm(dim=1, keepdim=True)
    torch.testing.assert_close(_proximal.l2(v, mu), v * (1 - mu / length).clamp(min=0))


@given(st.integers(0, 10**6), st.sampled_from(["linf", "l2", *POWERS]), st.floats(1e-3, 1e3))
def test_shrinks_keeps_signs_and_scales(seed: int, name: str, scale: float) -> None:
    v, mu = vectors(seed)
    prox = getattr(_proximal, name)
    z = prox(v, mu)
    assert (z.abs() <= v.abs() + 1e-9).all()
    assert (z * v >= 0).all()
    power = POWERS.get(name, 1.0)
    torch.testing.assert_close(prox(scale * v, scale ** (2 - power) * mu), scale * z, rtol=1e-6, atol=1e-9 * scale)
    torch.testing.assert_close(prox(v, torch.zeros_like(mu)), v, rtol=1e-6, atol=1e-9)


def test_pixels_fall_as_a_whole() -> None:
    v, mu = (part.reshape(20, 5, 5) for part in vectors())
    mu = 8 * mu
    z = _proximal.pixel_l0(v, mu)
    gain = (v.square() / (2 * mu)).sum(1)
    assert torch.equal(z, torch.where(gain[:, None] > 1, v, 0))
    assert 0 < int((gain > 1).sum()) < 100
    z = _proximal.by_largest_channel(_proximal.l0)(v, mu[:, :1])
    assert torch.equal((z != 0).any(1), v.abs().amax(1) > (2 * mu[:, 0]).sqrt())
    assert torch.equal((z != 0).any(1), (z != 0).all(1))
