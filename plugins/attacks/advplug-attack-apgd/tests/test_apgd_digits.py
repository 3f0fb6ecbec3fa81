"""On trained networks and real digits: beside our PGD and torchattacks' APGD at the same number of steps.

A random start breaks a digit more or less, so the networks that lose most digits are given most of them.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import pytest
import torch
from advplug_attack_apgd import APGD
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.api import AttackResult
from advplug.threat import Norm

pytest.importorskip("advplug_defense_adversarial_training")
pytest.importorskip("advplug_data_mnist")

STEPS = 100
CASES: list[tuple[str, Norm, float]] = [("mnist", "linf", 0.1), ("mnist-linf", "linf", 0.3), ("mnist-l2", "l2", 2.0)]
DIGITS = {"mnist": 100, "mnist-linf": 50, "mnist-l2": 200}
THEIRS = {"mnist": 47, "mnist-linf": 45, "mnist-l2": 91}
"""What APGD of torchattacks 3.5.1 leaves in so many steps, for where it is not installed."""


@cache
def case(preset: str) -> tuple[nn.Module, Tensor, Tensor]:
    digits = load("data:mnist")().load("shipped", DIGITS[preset])
    return load("defense:adversarial-training")().build(preset).eval(), digits.inputs, digits.labels


def left(result: AttackResult) -> int:
    return int((result.correct & ~result.success).sum())


@cache
def ours(preset: str, norm: Norm, epsilon: float) -> AttackResult:
    return run(APGD(steps=STEPS), *case(preset), ThreatModel(norm, epsilon))


@pytest.mark.parametrize(("preset", "norm", "epsilon"), CASES)
def test_leaves_no_more_than_torchattacks(preset: str, norm: Norm, epsilon: float) -> None:
    theirs = THEIRS[preset]
    if find_spec("torchattacks"):
        import torchattacks

        net, x, y = case(preset)
        peer = torchattacks.APGD(net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, steps=STEPS)
        theirs = int((net(peer(x, y)).argmax(1) == y).sum())
    assert left(ours(preset, norm, epsilon)) <= theirs


@pytest.mark.parametrize(("preset", "norm", "epsilon"), [*CASES, ("mnist", "l1", 8.0)])
def test_leaves_no_more_than_pgd(preset: str, norm: Norm, epsilon: float) -> None:
    pytest.importorskip("advplug_attack_pgd")
    pgd = run(load("attack:pgd")(steps=STEPS), *case(preset), ThreatModel(norm, epsilon))
    assert left(ours(preset, norm, epsilon)) <= left(pgd)


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
