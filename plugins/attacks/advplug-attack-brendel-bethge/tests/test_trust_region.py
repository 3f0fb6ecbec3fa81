"""The step inside a trust region, beside a general solver on small problems."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from advplug_attack_brendel_bethge._paths import Way
from advplug_attack_brendel_bethge._trust_region import farthest_towards, nearest_step
from torch import Tensor

optimize = pytest.importorskip("scipy.optimize")

VALUES, PROBLEMS = 6, 10
BOUNDS = (-1.0, 2.0)
NORMS = ("linf", "l2", "l1", "l0")
Array = npt.NDArray[np.float64]


class Problems(NamedTuple):
    """Clean inputs, points and normals (n, d); what the plane is away, and radii, (n,)."""

    clean: Tensor
    x: Tensor
    w: Tensor
    change: Tensor
    radius: Tensor

    def solved(self, norm: str) -> Tensor:
        return nearest_step(Way(self.clean, self.x, BOUNDS, norm), self.w, self.change, self.radius)


def problems(count: int = PROBLEMS, values: int = VALUES) -> Problems:
    """Random points in the box, a third of their values on its faces, and planes that pass through the regions."""
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    clean, x = ((BOUNDS[0] - 0.75 + 4.5 * uniform(count, values)).clamp(*BOUNDS) for _ in range(2))
    w = torch.randn(count, values, generator=generator, dtype=torch.float64)
    radius = 0.2 + 1.5 * uniform(count)
    most = (w * (farthest_towards(x, w, radius[:, None], BOUNDS) - x)).sum(1)
    least = (w * (farthest_towards(x, -w, radius[:, None], BOUNDS) - x)).sum(1)
    return Problems(clean, x, w, least + (most - least) * (0.2 + 0.6 * uniform(count)), radius)


def distance(delta: Tensor, norm: str) -> Tensor:
    if norm == "l0":
        return (delta.abs() > 1e-9).double().sum(1)
    length: Tensor = torch.linalg.vector_norm(delta, {"linf": torch.inf, "l2": 2, "l1": 1}[norm], dim=1)
    return length


@pytest.mark.parametrize("norm", NORMS)
def test_a_step_meets_all_constraints(norm: str) -> None:
    given = problems(200, 40)
    step = given.solved(norm) - given.x
    torch.testing.assert_close((given.w * step).sum(1), given.change, rtol=1e-4, atol=1e-5)
    assert (step.norm(dim=1) <= (1 + 1e-5) * given.radius).all()
    point = given.x + step
    assert ((point >= BOUNDS[0]) & (point <= BOUNDS[1])).all()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_no_general_solver_finds_a_nearer_point(norm: str) -> None:
    given = problems()
    ours = distance(given.solved(norm) - given.clean, norm)
    for number, found in enumerate(ours.tolist()):
        best = least_by_scipy(given, number, norm)
        assert found <= best * 1.01 + 1e-3, (number, found, best)


def test_l0_keeps_as_few_values_as_an_exhaustive_search_or_one_more() -> None:
    given = problems()
    ours = distance(given.solved("l0") - given.clean, "l0")
    best = torch.tensor([fewest(given, number) for number in range(PROBLEMS)])
    assert (ours >= best).all()
    assert (ours - best).mean() <= 0.25
    assert (ours - best).max() <= 1


@pytest.mark.parametrize("norm", NORMS)
def test_out_of_reach_the_step_goes_as_far_as_it_can(norm: str) -> None:
    given = problems()
    for change in (100.0, -100.0):
        far = given._replace(change=torch.full_like(given.change, change))
        towards = given.w * change
        expected = farthest_towards(given.x, towards, given.radius[:, None], BOUNDS)
        torch.testing.assert_close(far.solved(norm), expected)
        step = expected - given.x
        assert (step.norm(dim=1) <= given.radius * (1 + 1e-9)).all()
        longer = farthest_towards(given.x, towards, 1.01 * given.radius[:, None], BOUNDS) - given.x
        assert ((towards * longer).sum(1) >= (towards * step).sum(1)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_in_a_wide_region_the_step_goes_to_the_point_of_the_plane_nearest_to_the_input(norm: str) -> None:
    """Where the input lies on the plane, that is the input."""
    given = problems()
    change = (given.w * (given.clean - given.x)).sum(1)
    wide = given._replace(change=change, radius=torch.full_like(given.radius, 20.0))
    torch.testing.assert_close(wide.solved(norm), given.clean, atol=5e-3, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_normal_the_point_stays(norm: str) -> None:
    given = problems()
    still = given._replace(w=torch.zeros_like(given.w))
    torch.testing.assert_close(still.solved(norm), given.x)


def least_by_scipy(given: Problems, number: int, norm: str) -> float:
    """The least distance that SLSQP finds from several starts; distances of linf and l1 as extra variables."""
    clean, x, w, change, radius = (part[number].numpy() for part in given)
    d, extra = len(x), {"linf": 1, "l2": 0, "l1": len(x)}[norm]
    objective: Callable[[Array], float] = (
        (lambda v: float(v[d:].sum())) if extra else (lambda v: float(((v[:d] - clean) ** 2).sum()))
    )
    conditions: list[dict[str, Any]] = [
        {"type": "eq", "fun": lambda v: w @ (v[:d] - x) - change},
        {"type": "ineq", "fun": lambda v: radius**2 - ((v[:d] - x) ** 2).sum()},
    ]
    if extra:
        conditions += [{"type": "ineq", "fun": lambda v, s=s: v[d:] - s * (v[:d] - clean)} for s in (1, -1)]
    box = [BOUNDS] * d + [(0, 10)] * extra
    best = np.inf
    for seed in range(4):
        start = np.clip(x + 0.3 * np.random.default_rng(seed).standard_normal(d), *BOUNDS)
        start = np.concatenate((start, np.full(extra, np.abs(start - clean).max())))
        found = optimize.minimize(
            objective,
            start,
            bounds=box,
            constraints=conditions,
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        if max(abs(conditions[0]["fun"](found.x)), -conditions[1]["fun"](found.x)) < 1e-7:
            delta = torch.from_numpy(found.x[:d] - clean)[None]
            best = min(best, float(distance(delta, norm)))
    return best


def fewest(given: Problems, number: int) -> int:
    """The least number of values that differ from the clean ones in any point that meets the constraints."""
    clean, x, w, change, radius = (part[number].numpy() for part in given)
    best = len(x)
    for chosen in product((False, True), repeat=len(x)):
        if sum(chosen) >= best:
            continue
        keeps = np.array(chosen)
        left = radius**2 - ((clean - x)[~keeps] ** 2).sum()
        missing = change - (w * (clean - x))[~keeps].sum()
        if left < 0 or (not keeps.any() and abs(missing) > 1e-9):
            continue
        part = torch.from_numpy(x[keeps])[None], torch.from_numpy(w[keeps])[None]
        ball = torch.tensor([[left**0.5]])
        ends = [
            float((part[1] * (farthest_towards(part[0], s * part[1], ball, BOUNDS) - part[0])).sum()) for s in (1, -1)
        ]
        if keeps.any() and ends[1] <= missing <= ends[0]:
            best = sum(chosen)
    return best
