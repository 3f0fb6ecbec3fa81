"""On trained networks: beside Foolbox at the same number of gradients, and with rounding to levels."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_ddn._ddn import DDN
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.losses import Margin
from advplug.testing.digits import shipped_digits

STEPS = 60


@pytest.mark.parametrize("preset", ["mnist-relu", "mnist-at"])
def test_no_farther_than_foolbox(preset: str) -> None:
    net, x, y = shipped_digits(preset)
    foolbox = pytest.importorskip("foolbox")
    peer = foolbox.attacks.DDNAttack(steps=STEPS)
    points, _, found = peer(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=None)
    theirs = (points - x).flatten(1).norm(dim=1)
    ours = run(DDN(steps=STEPS), net, x, y, ThreatModel("l2"))
    assert found.all()
    assert ours.success.all()
    assert ours.distance.mean() <= 1.02 * theirs.mean()


def test_every_adversarial_lies_on_the_levels() -> None:
    net, x, y = shipped_digits("mnist-relu")
    rounded = run(DDN(steps=STEPS, levels=256), net, x, y, ThreatModel("l2"))
    assert rounded.success.all()
    levels = 255 * rounded.adversarials
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
    free = run(DDN(steps=STEPS), net, x, y, ThreatModel("l2"))
    assert rounded.distance.mean() <= 1.05 * free.distance.mean()


def test_other_bounds_give_the_same_attack_in_other_units() -> None:
    """The same network behind a change of units, (-1, 1) for (0, 1): every distance is twice as long."""
    net, x, y = shipped_digits("mnist-relu")

    class Rescaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net((x + 1) / 2)  # type: ignore[no-any-return]

    plain = run(DDN(steps=STEPS), net, x, y, ThreatModel("l2"))
    wide = run(DDN(steps=STEPS), Rescaled(), 2 * x - 1, y, ThreatModel("l2", bounds=(-1.0, 1.0)))
    assert wide.success.all()
    assert wide.distance.mean().item() == pytest.approx(2 * plain.distance.mean().item(), rel=0.01)


def test_any_loss_works() -> None:
    net, x, y = shipped_digits("mnist-at")
    assert run(DDN(steps=STEPS), net, x, y, ThreatModel("l2"), loss=Margin()).success.all()
