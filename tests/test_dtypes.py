"""A network in half precision or float64 is as robust as it is in float32, under every attack and norm."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from every_attack import every_attack, short
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.data import Images
from advplug.threat import Norm

BUDGETS: dict[str, float] = {"linf": 0.1, "l2": 0.6, "l1": 2.5, "l0": 3}

TOO_SHORT = ("substitute", "transfer")
"""Their stand-in is trained so briefly that it says nothing of some norms."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval()


def images() -> tuple[Tensor, Tensor]:
    """A hundred that every dtype answers alike and clearly, so that only the search can make a difference."""
    x = torch.randint(0, 256, (400, 1, 8, 8), generator=torch.Generator().manual_seed(0)).float() / 255
    best = network()(x).topk(2, dim=1)
    clear = (best.values[:, 0] - best.values[:, 1]) > 0.1
    return x[clear][:100], best.indices[clear][:100, 0]


@cache
def robust_accuracy(name: str, norm: Norm, dtype: torch.dtype) -> float:
    (x, y), attack = images(), short(name)
    own = Images(x, y) if attack.needs_auxiliary else None
    result = run(attack, network().to(dtype), x, y, ThreatModel(norm, BUDGETS[norm]), auxiliary=own)
    assert result.clean_accuracy == 1
    return result.robust_accuracy


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "norm"), every_attack(), ids=str)
def test_robust_accuracy_does_not_depend_on_the_dtype(name: str, norm: Norm, dtype: torch.dtype) -> None:
    assert len(images()[0]) == 100
    told, true = robust_accuracy(name, norm, dtype), robust_accuracy(name, norm, torch.float32)
    assert abs(told - true) <= 0.01 + 1e-9
    assert true < 1 or name in TOO_SHORT
