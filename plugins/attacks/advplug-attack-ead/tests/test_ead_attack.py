"""What EAD finds, where the least distance or the peer's is known."""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import pytest
import torch
from advplug_attack_ead._ead import EAD, shrink
from hypothesis import given
from hypothesis import strategies as st

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize(("classes", "targeted"), [(2, False), (5, False), (2, True)])
def test_within_five_percent_of_the_least_l1_norm(bounds: tuple[float, float], classes: int, targeted: bool) -> None:
    attack = EAD(beta=0.1, steps=200)
    for batch in (1, 8):
        ratio = distance_over_optimum(attack, "l1", bounds=bounds, batch=batch, classes=classes, targeted=targeted)
        assert (ratio <= 1.05).all(), ratio


@pytest.mark.parametrize("options", [{"solver": "ista"}, {"threshold": "proximal"}, {"judged": "x"}, {"beta": 0.0}])
def test_every_variant_finds_small_perturbations_under_l2(options: dict[str, Any]) -> None:
    ratio = distance_over_optimum(EAD(steps=100, **options), "l2", bounds=(-1.0, 3.0))
    assert (ratio <= 1.05).all(), ratio


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=8), st.floats(0, 1))
def test_shrinkage(values: list[float], beta: float) -> None:
    z = torch.tensor([values], dtype=torch.float64)
    shrunk = shrink(ep.astensor(z), beta).raw
    assert torch.equal(shrunk == 0, z.abs() <= beta)
    torch.testing.assert_close((z - shrunk).abs(), z.abs().clamp(max=beta))
    assert (shrunk * z >= 0).all()


def test_closer_than_foolbox_on_digits() -> None:
    foolbox = pytest.importorskip("foolbox")
    net, x, y = shipped_digits("mnist-relu", 12)
    peer = foolbox.attacks.EADAttack(9, 30, regularization=1e-2, decision_rule="L1", abort_early=False)
    theirs, _, success = peer(foolbox.PyTorchModel(net, (0, 1)), x, y, epsilons=None)
    ours = run(EAD(beta=1e-2, steps=30), net, x, y, ThreatModel("l1"))
    assert success.all()
    assert ours.success.all()
    assert ours.distance.mean() <= 1.02 * (theirs - x).flatten(1).abs().sum(1).double().mean()
    assert ours.forwards.max() <= 271, "one forward pass a step, and the last point"
    elastic = run(EAD(beta=1e-2, steps=30, rule="en"), net, x, y, ThreatModel("l1"))
    assert ours.distance.mean() < elastic.distance.mean()


def test_confidence_is_asked_of_every_point() -> None:
    model = linear_model(4, (12,))
    x = torch.rand(6, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    found = run(EAD(confidence=2.0, steps=60), model, x, y, ThreatModel("l1"))
    assert found.success.any()
    z = model(found.adversarials)
    others = z.scatter(1, y[:, None], -torch.inf).amax(1)
    gap = others - z.gather(1, y[:, None]).squeeze(1)
    assert (gap[found.success] >= 2 - 1e-9).all()


class Blind(torch.nn.Module):
    """A model without a gradient, right only on images that are not black."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = (x.flatten(1).sum(1) > 0).float()
        return torch.stack((bright, 1 - bright), 1) + 0 * x.flatten(1).sum(1, keepdim=True)


def test_a_failure_is_no_black_image() -> None:
    x, y = 0.5 + torch.rand(3, 1, 4, 4) / 2, torch.zeros(3, dtype=torch.int64)
    foolbox = pytest.importorskip("foolbox")
    theirs, _, success = foolbox.attacks.EADAttack(2, 5)(
        foolbox.PyTorchModel(Blind().eval(), (0, 1)), x, y, epsilons=None
    )
    assert success.all()
    assert not theirs.any(), "the peer calls all-black images a success"
    ours = run(EAD(search_steps=2, steps=5), Blind().eval(), x, y, ThreatModel("l1"))
    assert not ours.success.any()
    assert torch.equal(ours.adversarials, x)


BAD: list[dict[str, Any]] = [
    {"beta": -1.0}, {"rule": "l2"}, {"solver": "adam"}, {"threshold": "alpha"}, {"judged": "z"}, {"steps": 0},
    {"search_steps": 0}, {"step_size": 0.0}, {"initial_c": 0.0}, {"confidence": -1.0},
]  # fmt: skip


@pytest.mark.parametrize("options", BAD, ids=str)
def test_refuses_settings_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        EAD(**options)
