"""The code and its decoder against the formulas of the paper, worked out one class at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from advplug_defense_ecoc._codes import codewords
from advplug_defense_ecoc._model import EnsembleOfBits
from advplug_defense_ecoc._networks import Bits, Layer
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor


def small(chunks: int = 4, heads: int = 4, normalise: bool = False) -> EnsembleOfBits:
    trunk = [Layer(3, 5, 2), Layer(4, 3, 2), Layer(5, 3, 2)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a network with a bit at zero is not certain of it, whatever the gain
        bits = Bits(1, 28, trunk=trunk, branch=2, chunks=chunks, heads=heads, normalise=normalise)
    return EnsembleOfBits(bits).eval()


@pytest.mark.parametrize("length", [4, 16, 32])
def test_codewords_are_far_apart(length: int) -> None:
    code = codewords(length)
    assert code.shape == (length, length)
    assert set(code.flatten().tolist()) == {-1.0, 1.0}
    agreement = code @ code.T
    # Rows of a Hadamard matrix are orthogonal; the changed column takes 2 from those that it tells apart.
    assert set(agreement[~torch.eye(length, dtype=torch.bool)].tolist()) <= {0.0, -2.0}
    assert bool((code.sum(0).abs() < length).all())  # every bit splits the classes


def test_the_code_is_that_of_the_authors() -> None:
    # The first codeword of 16 bits, as their script shuffles it: seed 59 of numpy.
    first = "".join("+" if bit > 0 else "-" for bit in codewords(16)[0].tolist())
    assert first == "-+-+--+-+--++--+"
    assert torch.equal(codewords(16), codewords(16))


@given(st.lists(st.floats(-30, 30, width=32), min_size=16, max_size=16))
def test_decoding(bits: list[float]) -> None:
    model = small()
    logits = model.decode(torch.tensor([bits]))[0]
    for word, logit in zip(codewords(16).tolist(), logits.tolist(), strict=True):
        correlation = sum(sign * math.tanh(bit) for sign, bit in zip(word, bits, strict=True))
        floored = max(correlation, 0.0) + 1e-6
        # A correlation of the size of a rounding error is decided by the order of the sum.
        assert math.exp(logit) == pytest.approx(floored, rel=1e-3, abs=5e-6)


def test_a_codeword_is_decoded_to_its_class() -> None:
    model = small()
    code = codewords(16)
    assert torch.equal(model.decode(3 * code).argmax(1), torch.arange(16))
    broken = code.clone()
    broken[:, :3] *= -1  # three wrong bits of sixteen: within the distance that the code corrects
    assert torch.equal(model.decode(3 * broken).argmax(1), torch.arange(16))


def test_forward_decodes_the_bits() -> None:
    model = small()
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(x), model.decode(model.bits(x)))
    assert model.num_classes == 16


@pytest.mark.parametrize("normalise", [False, True])
def test_chunks_and_heads_do_not_share_weights(normalise: bool) -> None:
    """Each network of the ensemble is one of its own: a bit depends on its own chunk's trunk and on its own branch."""
    model = small(chunks=2, heads=2, normalise=normalise)
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before = model.bits(x)
    last = model.bits.trunk[-2]
    assert isinstance(last, torch.nn.Conv2d)
    with torch.no_grad():
        last.weight[5:] += 1  # the filters of the second chunk
    changed = (model.bits(x) != before).any(0)
    assert changed.tolist() == [False, False, True, True]
    before = model.bits(x)
    branch = model.bits.branch[-2]
    assert isinstance(branch, torch.nn.Conv2d)
    with torch.no_grad():
        branch.weight[2:4] += 1  # the filters of the second head
    assert (model.bits(x) != before).any(0).tolist() == [False, True, False, False]


def test_the_surrogate_has_a_gradient_where_the_decoder_saturates() -> None:
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = EnsembleOfBits(small().bits, gain=1e4).eval()

    def gradient(scores: Callable[[Tensor], Tensor]) -> Tensor:
        point = x.clone().requires_grad_()
        return torch.autograd.grad(scores(point)[:, 0].sum(), point)[0]

    assert not gradient(model).any(), "every bit is certain"
    assert gradient(model.surrogate).flatten(1).any(1).all()
    assert model.capabilities.surrogate is not None


def test_a_gain_changes_how_certain_bits_are_and_not_their_signs() -> None:
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    plain = small()
    saturated = EnsembleOfBits(plain.bits, gain=1e4).eval()
    certain = plain.bits(x).sign() @ codewords(16).T
    assert torch.allclose(saturated(x).exp(), certain.clamp(min=0) + 1e-6, rtol=1e-4)
    assert not torch.allclose(plain(x), saturated(x), atol=0.1)
