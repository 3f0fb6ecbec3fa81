"""On trained networks and real digits, beside torchattacks at the same number of queries."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from advplug_attack_square import Square

from advplug import ThreatModel, load, run
from advplug.threat import Norm

pytest.importorskip("advplug_defense_adversarial_training")
pytest.importorskip("advplug_data_mnist")

QUERIES = 1000
THEIRS = {"mnist": 25, "mnist-linf": 43, "mnist-l2": 35}
"""What Square Attack of torchattacks 3.5.1 leaves of 50 digits, for where it is not installed."""


@pytest.mark.parametrize(
    ("preset", "norm", "epsilon"), [("mnist", "linf", 0.1), ("mnist-linf", "linf", 0.3), ("mnist-l2", "l2", 2.0)]
)
def test_leaves_no_more_than_torchattacks(preset: str, norm: Norm, epsilon: float) -> None:
    digits = load("data:mnist")().load("shipped", 50)
    x, y = digits.inputs, digits.labels
    net = load("defense:adversarial-training")().build(preset).eval()
    ours = run(Square(queries=QUERIES), net, x, y, ThreatModel(norm, epsilon))
    theirs = THEIRS[preset]
    if find_spec("torchattacks"):
        import torchattacks

        peer = torchattacks.Square(net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, n_queries=QUERIES)
        theirs = int((net(peer(x, y)).argmax(1) == y).sum())
    assert ours.success.any()
    assert int((ours.correct & ~ours.success).sum()) <= theirs + 1


def test_finds_what_a_gradient_of_zero_hides() -> None:
    digits = load("data:mnist")().load("shipped", 20)
    net = load("defense:adversarial-training")().build("mnist").eval()

    class Masked(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return net(x.detach()) + 0 * x.sum()  # type: ignore[no-any-return]

    threat = ThreatModel("linf", 0.15)
    plain = run(Square(queries=200), net, digits.inputs, digits.labels, threat)
    masked = run(Square(queries=200), Masked(), digits.inputs, digits.labels, threat)
    assert plain.success.any()
    assert torch.equal(plain.success, masked.success)
