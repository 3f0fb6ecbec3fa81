"""Properties that hold for every model, norm, budget, range and batch."""

from __future__ import annotations

import random
from typing import Any

import eagerpy as ep
import numpy as np
import pytest
import torch
from advplug_attack_pgd import PGD
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug.api import run
from advplug.gradients import FiniteDifference, Smoothed
from advplug.losses import Margin
from advplug.numerics.tensors import norms
from advplug.threat import ThreatModel

examples = settings(max_examples=25)
norm_names = st.sampled_from(["linf", "l2", "l1", "l0"])
bounds_pairs = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-2.5, -0.5)])


class Net(nn.Module):
    """A small network with everything that an attack could disturb: dropout, batch statistics, gradients."""

    def __init__(self, low: float, high: float, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
            self.head = nn.Linear(16, 4)
            self.body[1].running_mean.uniform_(-0.1, 0.1)
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body((x - self.low) / (self.high - self.low)))  # type: ignore[no-any-return]


def _case(seed: int, n: int, bounds: tuple[float, float], dtype: torch.dtype = torch.float32) -> Any:
    low, high = bounds
    net = Net(low, high, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    x = low + (high - low) * torch.rand(n, 2, 4, 4, generator=generator)
    x[:, 0, 0] = low  # saturated pixels
    with torch.no_grad():
        y = net(x).argmax(1)
    return net, x.to(dtype), y


def _budget(norm: str, share: float, bounds: tuple[float, float]) -> float:
    width = bounds[1] - bounds[0]
    return {"linf": share * width / 2, "l2": share * 3 * width, "l1": share * 12 * width, "l0": round(share * 20)}[norm]


@examples
@given(st.integers(0, 10_000), norm_names, st.floats(0, 1), bounds_pairs, st.integers(1, 9), st.booleans())
def test_results_keep_every_promise(  # noqa: PLR0917
    seed: int, norm: Any, share: float, bounds: tuple[float, float], n: int, early_end: bool
) -> None:
    net, x, y = _case(seed, n, bounds)
    epsilon = _budget(norm, share, bounds)
    result = run(PGD(steps=8), net, x, y, ThreatModel(norm, epsilon, bounds), seed=seed, early_end=early_end)
    adversarials = result.adversarials
    assert adversarials.shape == x.shape
    assert adversarials.dtype == x.dtype
    assert adversarials.min() >= bounds[0]
    assert adversarials.max() <= bounds[1]
    distance = norms(adversarials.double() - x.double(), norm)
    assert (distance <= epsilon * (1 + 1e-6)).all()
    with torch.no_grad():
        fooled = net(adversarials).argmax(1) != y
    assert torch.equal(fooled, result.success), "every success is one, and every success is reported"
    assert torch.equal(adversarials[~result.success], x[~result.success]), "failure returns the clean input"
    torch.testing.assert_close(result.distance[result.success], distance[result.success])
    assert result.distance[~result.success].isnan().all()


@examples
@given(st.integers(0, 10_000), norm_names, st.integers(1, 12), st.integers(0, 11))
def test_results_do_not_depend_on_batch_size_or_batch_mates(seed: int, norm: Any, size: int, one: int) -> None:
    """In float64, where sums in another order do not turn a sign."""
    net, x, y = _case(seed, 12, (0.0, 1.0))
    net, x = net.double(), x.double()
    threat = ThreatModel(norm, _budget(norm, 0.15, (0.0, 1.0)))
    whole = run(PGD(steps=8), net, x, y, threat, restarts=2)
    parts = run(PGD(steps=8), net, x, y, threat, restarts=2, batch_size=size)
    assert torch.equal(whole.success, parts.success)
    torch.testing.assert_close(whole.adversarials, parts.adversarials, atol=1e-6, rtol=0)
    assert torch.equal(whole.forwards, parts.forwards)
    others = [row for row in range(12) if row != one]
    y_other = y.clone()
    y_other[others] = (y[others] + 1) % 4  # the others are wrong before the attack and leave
    alone = run(PGD(steps=8), net, x, y_other, threat, restarts=2)
    torch.testing.assert_close(alone.adversarials[one], whole.adversarials[one], atol=1e-6, rtol=0)
    assert alone.forwards[one] == whole.forwards[one]


@pytest.mark.parametrize("gradient", [FiniteDifference(0.1, ((0, 20),)), Smoothed(0.1, 4)])
def test_noisy_gradients_do_not_depend_on_the_batch_either(gradient: Any) -> None:
    net, x, y = _case(0, 12, (0.0, 1.0))
    net, x, threat = net.double(), x.double(), ThreatModel("linf", 0.2)
    whole = run(PGD(steps=5), net, x, y, threat, gradient=gradient, loss=Margin())
    parts = run(PGD(steps=5), net, x, y, threat, gradient=gradient, loss=Margin(), batch_size=5, memory_budget=50_000)
    assert torch.equal(whole.success, parts.success)
    torch.testing.assert_close(whole.adversarials, parts.adversarials, atol=1e-6, rtol=0)


@examples
@given(st.integers(0, 2**40), norm_names)
def test_the_same_seed_gives_the_same_result(seed: int, norm: Any) -> None:
    net, x, y = _case(1, 6, (0.0, 1.0))
    threat = ThreatModel(norm, _budget(norm, 0.3, (0.0, 1.0)))
    first = run(PGD(steps=3), net, x, y, threat, seed=seed)
    torch.rand(7)  # a caller who draws in between changes nothing
    second = run(PGD(steps=3), net, x, y, threat, seed=seed)
    assert torch.equal(first.adversarials, second.adversarials)
    other = run(PGD(steps=3), net, x, y, threat, seed=seed + 1)
    assert not torch.equal(first.trace[0], other.trace[0]), "another seed starts elsewhere"


@pytest.mark.parametrize("training", [False, True])
def test_model_and_random_state_come_back_as_they_were(training: bool) -> None:
    net, x, y = _case(0, 8, (0.0, 1.0))
    net.train(training)
    net.body[1].eval()  # a mixed state, as in frozen batch normalisation
    net.head.bias.requires_grad_(False)
    net.head.weight.grad = torch.ones_like(net.head.weight)
    modes = [module.training for module in net.modules()]
    flags = [parameter.requires_grad for parameter in net.parameters()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    generators = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    before = x.clone(), y.clone()
    run(PGD(steps=4), net, x, y, ThreatModel("linf", 0.1), restarts=2)
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(net.head.weight.grad, torch.ones_like(net.head.weight))
    assert all(p.grad is None for name, p in net.named_parameters() if name != "head.weight")
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert (np.random.get_state()[1] == generators[1]).all()
    assert random.getstate() == generators[2]
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert not x.requires_grad


def test_the_model_comes_back_even_if_it_raises() -> None:
    net, x, y = _case(0, 4, (0.0, 1.0))
    calls = []

    def fail_later(*_: object) -> None:
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("out of luck")

    net.train()
    net.register_forward_pre_hook(fail_later)
    with pytest.raises(RuntimeError, match="out of luck"):
        run(PGD(), net, x, y, ThreatModel("linf", 0.1))
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_a_model_that_changes_its_buffers_gets_them_back() -> None:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.layer(x)  # type: ignore[no-any-return]

    net, x = Stateful(), torch.rand(3, 4)
    y = net(x).argmax(1)
    before = net.calls.clone()
    run(PGD(steps=4), net, x, y, ThreatModel("linf", 0.1))
    assert torch.equal(net.calls, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_double_inputs_of_a_float_model_stay_within_the_budget(dtype: torch.dtype) -> None:
    net, x, y = _case(0, 16, (0.0, 1.0), dtype)
    x = (x + 1e-9 * torch.randn_like(x)).clamp(0, 1)  # not representable in float32
    for epsilon in (1e-4, 8 / 255, 0.3):
        result = run(PGD(steps=8), net, x, y, ThreatModel("linf", epsilon))
        assert result.adversarials.dtype == dtype
        assert ((result.adversarials - x).abs().amax((1, 2, 3)) <= epsilon * (1 + 1e-6)).all()


def test_eagerpy_in_eagerpy_out() -> None:
    net, x, y = _case(0, 5, (0.0, 1.0))
    plain = run(PGD(steps=4), net, x, y, ThreatModel("linf", 0.1))
    wrapped = run(PGD(steps=4), net, ep.astensor(x), ep.astensor(y), ThreatModel("linf", 0.1))
    assert isinstance(wrapped.adversarials, ep.Tensor)
    assert torch.equal(wrapped.adversarials.raw, plain.adversarials)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_of_the_inputs_is_used_throughout_without_waiting_for_it() -> None:
    net, x, y = _case(0, 32, (0.0, 1.0))
    cpu = run(PGD(steps=8), net, x, y, ThreatModel("linf", 0.1))
    gpu = run(PGD(steps=8), net.cuda(), x.cuda(), y.cuda(), ThreatModel("linf", 0.1))
    assert gpu.adversarials.is_cuda
    assert (gpu.success.cpu() == cpu.success).float().mean() > 0.95
