"""On trained networks and real digits: beside our PGD and torchattacks' APGD at the same number of steps.

A random start breaks a digit more or less, so the networks that lose most digits are given most of them.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
import torchattacks
from advplug_attack_apgd._apgd import APGD
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.result import AttackResult
from advplug.threat import Norm

STEPS = 100
CASES: list[tuple[str, Norm, float]] = [("mnist", "linf", 0.1), ("mnist-linf", "linf", 0.3), ("mnist-l2", "l2", 2.0)]
DIGITS = {"mnist": 100, "mnist-linf": 50, "mnist-l2": 200}


@cache
def case(preset: str) -> tuple[nn.Module, Tensor, Tensor]:
    digits = load("data:mnist")().load("shipped", DIGITS[preset])
    return load("defense:adversarial-training")().build(preset).eval(), digits.inputs, digits.labels


def left(result: AttackResult) -> int:
    return int((result.correct & ~result.success).sum())


@pytest.mark.parametrize(("preset", "norm", "epsilon"), CASES)
def test_leaves_no_more_than_torchattacks_and_pgd(preset: str, norm: Norm, epsilon: float) -> None:
    net, x, y = case(preset)
    ours = run(APGD(steps=STEPS), net, x, y, ThreatModel(norm, epsilon))
    peer = torchattacks.APGD(net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, steps=STEPS)
    theirs = int((net(peer(x, y)).argmax(1) == y).sum())
    pgd = run(load("attack:pgd")(steps=STEPS), net, x, y, ThreatModel(norm, epsilon))
    assert left(ours) <= theirs
    assert left(ours) <= left(pgd)


def test_under_l1_it_leaves_no_more_than_pgd() -> None:
    net, x, y = case("mnist")
    threat = ThreatModel("l1", 8.0)
    pgd = run(load("attack:pgd")(steps=STEPS), net, x, y, threat)
    assert left(run(APGD(steps=STEPS), net, x, y, threat)) <= left(pgd)


def test_other_bounds_give_the_same_attack_in_other_units() -> None:
    """On (-1, 1) AutoAttack clips to [0, 1] and calls what it returns broken; ours breaks the same digits."""
    net, x, y = case("mnist")

    class Rescaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net((x + 1) / 2)  # type: ignore[no-any-return]

    plain = run(APGD(steps=30), net, x, y, ThreatModel("linf", 0.1))
    wide = run(APGD(steps=30), Rescaled(), 2 * x - 1, y, ThreatModel("linf", 0.2, bounds=(-1.0, 1.0)))
    assert wide.distance[wide.success].max() <= 0.2 * (1 + 1e-6)
    assert abs(left(plain) - left(wide)) <= 1
    assert torch.equal(wide.adversarials[~wide.success], (2 * x - 1)[~wide.success])
