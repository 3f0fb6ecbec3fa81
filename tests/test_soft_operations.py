"""Stand-ins for operations that lose the gradient: the values of a forward pass stay, and a slope is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from advplug.tracing.functions import opened_functions
from advplug.tracing.operations import SoftOperations

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
TABLE = torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0])
POINTS = torch.linspace(0, 1, 18).view(6, 3)


def under_no_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x.round(decimals=1) * 2


def in_place(x: Tensor) -> Tensor:
    y = x.clone()
    y.mul_(4).round_()
    return y.div_(4)


def neighbours(x: Tensor) -> Tensor:
    near = torch.cdist(x, POINTS).topk(3, largest=False).indices
    return F.one_hot(LABELS[near], 3).sum(1).float()


def majority(x: Tensor) -> Tensor:
    near = torch.cdist(x, POINTS).sort(1).indices[:, :3]
    return F.one_hot(LABELS[near].mode(1).values, 3).float()


def quantised(x: Tensor) -> Tensor:
    return torch.quantize_per_tensor(x, 0.1, 0, torch.quint8).dequantize()


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "round": lambda x: (8 * x).round() / 8,
    "floor": lambda x: (8 * x).floor(),
    "floor division": lambda x: x // 0.1,
    "sign": lambda x: (x - 0.5).sign(),
    "detach": lambda x: x + (x**2).detach(),
    "data": lambda x: x.data * 2,
    "no_grad": under_no_grad,
    "in place": in_place,
    "whole numbers": lambda x: (255 * x).to(torch.uint8).float() / 255,
    "long": lambda x: (x * 10).long().double() * x,
    "thermometer": lambda x: torch.stack([(x > level / 5).to(x.dtype) for level in range(5)]).mean(0),
    "smaller": lambda x: (x <= 0.5).float(),
    "between": lambda x: ((x > 0.2) & ~(x > 0.7)).float(),
    "where": lambda x: torch.where(x > 0.5, 1.0, 0.0) + x.detach(),
    "buckets": lambda x: TABLE[torch.bucketize(x, torch.linspace(0.2, 0.8, 4))],
    "one-hot": lambda x: F.one_hot(x.argmax(1), 3).float(),
    "one-hot by hand": lambda x: (x.argmin(1)[:, None] == torch.arange(3)).float(),
    "one-hot by scatter": lambda x: torch.zeros(len(x), 3).scatter_(1, x.argmax(1, keepdim=True), 1.0),
    "two largest by scatter": lambda x: torch.zeros(len(x), 3).scatter(1, x.topk(2, 1).indices, value=0.5),
    "embedding": lambda x: F.embedding(x.argmax(1), TABLE[:3, None]),
    "index_select": lambda x: torch.index_select(TABLE[:3, None], 0, x.argmin(1)),
    "all below": lambda x: (x < 0.9).all(1).float()[:, None],
    "any above": lambda x: (x > 0.5).any(1).float()[:, None],
    "classes that agree": lambda x: (x.argmax(1) == (x**2 + 0.1 * x.flip(1)).argmax(1)).float()[:, None],
    "classes that differ": lambda x: (x.argmax(1) != torch.zeros(len(x), dtype=torch.long)).float()[:, None],
    "looked up by arg max": lambda x: TABLE[:3][x.argmax(1)][:, None] * x.detach(),
    "neighbours": neighbours,
    "majority": majority,
    "quantised": quantised,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), rows=st.integers(1, 5))
def test_values_stay_and_a_gradient_is_there(name: str, seed: int, rows: int) -> None:
    x = torch.rand(rows, 3, generator=torch.Generator().manual_seed(seed))
    wanted = FUNCTIONS[name](x.clone())
    leaf = x.clone().requires_grad_()
    with SoftOperations():
        found = FUNCTIONS[name](leaf * 1)
    torch.testing.assert_close(found, wanted)
    (gradient,) = torch.autograd.grad((found * torch.rand_like(found)).sum(), leaf)
    assert bool((gradient != 0).any(1).all())
    assert bool(gradient.isfinite().all())


SATURATED: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda x: (1000 * (x - 0.5)).sigmoid(),
    "tanh": lambda x: torch.tanh(1000 * (x - 0.5)),
    "softmax": lambda x: F.softmax(1000 * x, dim=1),
    "softmax along another dimension": lambda x: (1000 * x).T.softmax(0).T,
    "clamp": lambda x: (1000 * (x - 0.5)).clamp(-1, 1),
}


@pytest.mark.parametrize("name", SATURATED)
def test_functions_that_saturate_have_a_gradient_where_that_is_asked_for(name: str) -> None:
    x = torch.tensor([[0.1, 0.4, 0.9], [0.8, 0.2, 0.4]])
    gradients = []
    for unsaturated in (False, True):
        leaf = x.clone().requires_grad_()
        with SoftOperations(unsaturated=unsaturated):
            found = SATURATED[name](leaf * 1)
        torch.testing.assert_close(found, SATURATED[name](x))
        gradients += torch.autograd.grad((found * torch.tensor([1.0, 2.0, 4.0])).sum(), leaf)
    assert not bool(gradients[0].any())
    assert bool((gradients[1] != 0).all())


def test_gradients_are_off_again_afterwards() -> None:
    with torch.no_grad():
        with torch.enable_grad(), SoftOperations():
            under_no_grad(torch.rand(2, 2, requires_grad=True) * 1)
        assert not torch.is_grad_enabled()


def test_numbers_leave_torch_as_before() -> None:
    x = torch.rand(2, 3, requires_grad=True)
    with SoftOperations():
        y = x * 2
        assert y.detach().numpy().tolist() == (x * 2).tolist()
        assert float(y.detach()[0, 0]) == y[0, 0].item()


def test_a_leaf_inside_a_model_stays_one_that_gradients_are_taken_of() -> None:
    x = torch.rand(2, 3, requires_grad=True)
    with SoftOperations():
        point = (x * 1).detach().requires_grad_()
        (slope,) = torch.autograd.grad((point**2).sum(), point)
    torch.testing.assert_close(slope, 2 * x.detach())


class Masked(torch.autograd.Function):
    """The square, with a backward pass that gives nothing."""

    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        context.save_for_backward(x)  # type: ignore[attr-defined]
        return x**2

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


class MaskedNewStyle(torch.autograd.Function):
    """The same in the form with a ``setup_context`` of its own."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**2

    @staticmethod
    def setup_context(context: object, inputs: object, output: object) -> None: ...

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


@pytest.mark.parametrize("function", [Masked, MaskedNewStyle])
def test_custom_functions_are_opened_and_closed_again(function: type[torch.autograd.Function]) -> None:
    x = torch.rand(4, requires_grad=True)
    with opened_functions():
        (gradient,) = torch.autograd.grad(function.apply(x).sum(), x)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(gradient, 2 * x.detach())
    (masked,) = torch.autograd.grad(function.apply(x).sum(), x)  # type: ignore[no-untyped-call]
    assert not bool(masked.any())
