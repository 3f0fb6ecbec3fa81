"""Steps to a hyperplane inside a box against scipy's solvers: of linear programs, and of quadratic ones."""

from __future__ import annotations

import eagerpy as ep
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.numerics.hyperplanes import Boundary, to_hyperplane

ORDER = {"linf": torch.inf, "l2": 2.0, "l1": 1.0}


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Tensor, float, Tensor, tuple[float, float]]:
    """Normal (d,), gap, point (d,) and bounds; with zero weights, values at a bound and planes out of reach."""
    size = draw(st.integers(1, 6))
    bounds = draw(st.sampled_from([(0.0, 1.0), (-1.0, 3.0), (0.0, 255.0), (-0.5, 0.5)]))
    weight = st.sampled_from([0.0, 1.0, -1.0]) | st.floats(-5, 5).filter(lambda w: abs(w) > 1e-3)
    share = st.sampled_from([0.0, 1.0]) | st.floats(0, 1)
    w = torch.tensor(draw(st.lists(weight, min_size=size, max_size=size)), dtype=torch.float64)
    at = torch.tensor(draw(st.lists(share, min_size=size, max_size=size)), dtype=torch.float64)
    point = bounds[0] + (bounds[1] - bounds[0]) * at
    gap = draw(st.floats(-1.3, 1.3)) * (bounds[1] - bounds[0]) * float(w.abs().sum() + 0.1)
    return w, gap, point, bounds


def _step(case: tuple[Tensor, float, Tensor, tuple[float, float]], norm: str) -> Tensor:
    w, gap, point, (low, high) = case
    gaps = torch.tensor([gap], dtype=torch.float64)
    return to_hyperplane(w[None], gaps, (low - point)[None], (high - point)[None], norm)[0]


def _most_fall(w: Tensor, gap: float, point: Tensor, bounds: tuple[float, float]) -> tuple[float, Tensor]:
    """How far ``<w, .>`` can go towards the plane inside the box, and the step that does it."""
    push = -w if gap > 0 else w
    corner = torch.where(push > 0, bounds[1] - point, torch.where(push < 0, bounds[0] - point, 0))
    return float((push * corner).sum()), corner


def _solver(w: Tensor, gap: float, point: Tensor, bounds: tuple[float, float], norm: str) -> float:
    """The least norm of a step to the plane, by scipy."""
    size, weights = len(w), w.numpy()
    box = [(bounds[0] - value, bounds[1] - value) for value in point.tolist()]
    if norm == "l2":
        width, (most, corner) = bounds[1] - bounds[0], _most_fall(w, gap, point, bounds)
        result = minimize(  # in units of the width, which the solver's tolerances ask for
            lambda d: (d**2).sum(),
            corner.numpy() / width * abs(gap) / max(most, 1e-9),
            jac=lambda d: 2 * d,
            bounds=np.array(box) / width,
            constraints={"type": "eq", "fun": lambda d: weights @ d + gap / width, "jac": lambda d: weights},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert abs(weights @ result.x * width + gap) <= 1e-6 * width, result.message
        return float(np.sqrt(result.fun)) * width
    # variables: the step d, and one bound t >= |d_i| (linf) or one for each coordinate (l1)
    bounds_count = 1 if norm == "linf" else size
    link = np.ones((size, 1)) if norm == "linf" else np.eye(size)
    result = linprog(
        np.r_[np.zeros(size), np.ones(bounds_count)],
        A_ub=np.block([[np.eye(size), -link], [-np.eye(size), -link]]),
        b_ub=np.zeros(2 * size),
        A_eq=np.r_[weights, np.zeros(bounds_count)][None],
        b_eq=[-gap],
        bounds=[*box, *[(0, None)] * bounds_count],
    )
    assert result.success, result.message
    return float(result.fun)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@settings(max_examples=40)
@given(case=_cases())
def test_no_solver_finds_a_shorter_step(norm: str, case: tuple[Tensor, float, Tensor, tuple[float, float]]) -> None:
    w, gap, point, bounds = case
    width = bounds[1] - bounds[0]
    step = _step(case, norm)
    assert ((point + step >= bounds[0] - 1e-9 * width) & (point + step <= bounds[1] + 1e-9 * width)).all()
    most, corner = _most_fall(w, gap, point, bounds)
    if most <= abs(gap) * (1 + 1e-6):  # the plane misses the box, or touches it
        torch.testing.assert_close(step, corner, rtol=1e-5, atol=1e-6 * width)
        return
    assert float((w * step).sum()) == pytest.approx(-gap, rel=1e-9, abs=1e-9 * width)
    length = float(torch.linalg.vector_norm(step, ORDER[norm]))
    assert length <= _solver(w, gap, point, bounds, norm) + 1e-5 * width


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_step_in_a_batch_is_the_step_alone(norm: str) -> None:
    generator = torch.Generator().manual_seed(0)
    w, x = (torch.rand(5, 40, generator=generator, dtype=torch.float64) for _ in range(2))
    w = w - 0.5
    gap = torch.tensor([3.0, -2.0, 0.0, 1e6, 0.1], dtype=torch.float64)
    together = to_hyperplane(w, gap, -x, 1 - x, norm)
    for i in range(5):
        alone = to_hyperplane(w[i : i + 1], gap[i : i + 1], -x[i : i + 1], 1 - x[i : i + 1], norm)
        torch.testing.assert_close(alone[0], together[i])
    assert not together[2].any(), "a point on the plane need not move"


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_float32_images_reach_the_plane(norm: str) -> None:
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(8, 3072, generator=generator) * 10 ** torch.empty(8, 1).uniform_(-6, 6, generator=generator)
    x = torch.rand(8, 3072, generator=generator).round(decimals=1)  # many ties, and values at the bounds
    gap = 0.3 * (w.abs() * torch.where(w > 0, x, 1 - x)).sum(1)
    step = to_hyperplane(w, gap, -x, 1 - x, norm)
    torch.testing.assert_close((w.double() * step.double()).sum(1), -gap.double(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_no_gradient_no_step(norm: str) -> None:
    zero = torch.zeros(2, 4)
    step = to_hyperplane(zero, torch.tensor([1.0, -1.0]), zero - 1, zero + 1, norm)
    assert torch.equal(step, zero)


def test_the_nearest_boundary_depends_on_the_norm() -> None:
    """Gaps 1 and 1: under linf the dense gradient is steeper, under l1 the sparse one."""
    x, loss = ep.astensor(torch.zeros(1, 2, 2)), ep.astensor(torch.ones(1, 2))
    gradient = ep.astensor(torch.tensor([[[[1.0, 1.0], [1.0, 1.0]], [[1.5, 0.0], [0.0, 0.0]]]]))
    dense, sparse = gradient.raw[:, 0], gradient.raw[:, 1]
    for norm, chosen in (("linf", dense), ("l2", dense), ("l1", sparse)):
        assert torch.equal(Boundary.nearest(x, loss, gradient, norm).w.raw, chosen), norm


def test_the_box_may_make_another_boundary_the_nearest() -> None:
    """The steepest coordinate is at its bound, so that the boundary which seems nearer is farther, or out of reach."""
    x = ep.astensor(torch.tensor([[0.0, 0.5]]))
    for other, gap in ((0.1, 0.3), (1.0, 0.5)):  # out of reach; farther
        gradient = ep.astensor(torch.tensor([[[4.0, other], [0.0, 2.0]]]))
        loss = ep.astensor(torch.tensor([[gap, 0.6]]))
        free = Boundary.nearest(x, loss, gradient, "l1")
        boxed = Boundary.nearest(x, loss, gradient, "l1", (0.0, 1.0))
        assert torch.equal(free.w.raw, gradient.raw[:, 0])
        assert torch.equal(boxed.w.raw, gradient.raw[:, 1])
    nowhere = ep.astensor(torch.tensor([[9.0, 9.0]]))
    assert torch.equal(Boundary.nearest(x, nowhere, gradient, "l1", (0.0, 1.0)).w.raw, gradient.raw[:, 0])


def test_refuses_other_norms() -> None:
    zero = torch.zeros(1, 1)
    with pytest.raises(InvalidInput, match="linf, l2 or l1"):
        to_hyperplane(zero, zero[0], zero, zero, "l0")
