"""The two-loop recursion against the formula of BFGS that it stands for."""

from __future__ import annotations

import eagerpy as ep
import torch
from advplug_attack_lbfgs._memory import Memory
from torch import Tensor

from advplug.numerics import raw, wrap


def _bfgs(pairs: list[tuple[Tensor, Tensor]], scale: float) -> Tensor:
    """The inverse Hessian (d, d) after these pairs, by the update of BFGS (Nocedal and Wright 2006, eq. 6.17)."""
    size = len(pairs[0][0])
    s, y = pairs[-1]
    h = (s @ y) / (y @ y) * torch.eye(size, dtype=s.dtype) if pairs else scale * torch.eye(size)
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = torch.eye(size, dtype=s.dtype) - rho * torch.outer(s, y)
        h = left @ h @ left.T + rho * torch.outer(s, s)
    return h


def _everyone(count: int) -> ep.Tensor:
    return wrap(torch.ones(count, dtype=torch.bool))


def test_is_bfgs_on_the_free_coordinates() -> None:
    generator = torch.Generator().manual_seed(0)
    hessian = torch.diag(torch.tensor([1.0, 2.0, 5.0, 9.0], dtype=torch.float64))
    steps = torch.randn(3, 2, 4, generator=generator, dtype=torch.float64)
    g = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    free = torch.tensor([[True, True, True, True], [True, False, True, True]])
    memory = Memory.empty(5, wrap(g))
    for s in steps:
        memory = memory.seen(wrap(s), wrap(s @ hessian), _everyone(2))
    found = raw(memory.times(wrap(g), wrap(free), 0.5))
    for i in range(2):
        kept = free[i]
        expected = _bfgs([(s[i, kept], (s[i] @ hessian)[kept]) for s in steps], 0.5) @ g[i, kept]
        torch.testing.assert_close(found[i, kept], expected)
        assert not found[i, ~kept].any()


def test_pairs_of_negative_curvature_and_of_other_samples_are_left_out() -> None:
    s = torch.ones(3, 2, dtype=torch.float64)
    y = torch.tensor([[4.0, 4.0], [-4.0, -4.0], [4.0, 4.0]], dtype=torch.float64)
    memory = Memory.empty(2, wrap(s)).seen(wrap(s), wrap(y), wrap(torch.tensor([True, True, False])))
    free = wrap(torch.ones(3, 2, dtype=torch.bool))
    found = raw(memory.times(wrap(s), free, 0.5))
    torch.testing.assert_close(found, torch.tensor([[0.25], [0.5], [0.5]], dtype=torch.float64).expand(3, 2))
    forgotten = memory.forgotten(_everyone(3))
    torch.testing.assert_close(raw(forgotten.times(wrap(s), free, 0.5)), 0.5 * s)


def test_the_oldest_pair_goes_first() -> None:
    s = torch.ones(1, 2, dtype=torch.float64)
    memory = Memory.empty(2, wrap(s))
    for factor in (1.0, 2.0, 3.0):
        memory = memory.seen(wrap(factor * s), wrap(s), _everyone(1))
    torch.testing.assert_close(raw(memory.s)[0, :, 0], torch.tensor([2.0, 3.0], dtype=torch.float64))
