"""What the attacks of Carlini and Wagner find, where the least distance or the peer's is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_cw._l0 import CarliniWagnerL0
from advplug_attack_cw._l2 import CarliniWagnerL2

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize(("classes", "targeted"), [(2, False), (5, False), (2, True)])
def test_the_least_distance(bounds: tuple[float, float], classes: int, targeted: bool) -> None:
    """Within 5 % under L2, exactly under L0."""
    for batch in (1, 8):
        case: dict[str, Any] = {"bounds": bounds, "batch": batch, "classes": classes, "targeted": targeted}
        ratio = distance_over_optimum(CarliniWagnerL2(steps=200, step_size=0.01), "l2", **case)
        assert (ratio <= 1.05).all(), ratio
        assert (distance_over_optimum(CarliniWagnerL0(), "l0", **case) == 1).all()


def test_few_steps_come_to_rest_near_a_near_boundary() -> None:
    """Of many values: steps of 10 / 55 end up to 0.8 % too far, and twice as far as the boundary on CIFAR-10."""
    ratio = distance_over_optimum(CarliniWagnerL2(steps=55), "l2", shape=(3, 16, 16), batch=4)
    assert ratio.max() <= 1.005


def test_closer_than_foolbox_on_digits() -> None:
    """Whose black pixels hardly move: the slope of its change of variable is 2e-6 there."""
    foolbox = pytest.importorskip("foolbox")
    net, x, y = shipped_digits("mnist-relu", 12)
    peer = foolbox.attacks.L2CarliniWagnerAttack(9, 30, stepsize=0.1, abort_early=False)
    theirs, _, success = peer(foolbox.PyTorchModel(net, (0, 1)), x, y, epsilons=None)
    ours = run(CarliniWagnerL2(steps=30), net, x, y, ThreatModel("l2"))
    assert ours.success.all()
    distances = (theirs - x).flatten(1).norm(dim=1).double()[success]
    assert ours.distance.mean() <= distances.mean()


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_values_at_the_bounds_move(bounds: tuple[float, float]) -> None:
    model = linear_model(2, (16,))
    x = torch.where(torch.arange(64).view(4, 16) % 3 == 0, *bounds).double()
    y = model(x).argmax(1)
    found = run(CarliniWagnerL2(steps=100), model, x, y, ThreatModel("l2", bounds=bounds))
    assert found.success.all()


def test_all_logits_may_be_negative() -> None:
    model = linear_model(3, (12,))
    model[1].bias.data -= 100  # type: ignore[index, operator, union-attr]
    x = torch.rand(4, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    assert run(CarliniWagnerL2(steps=60), model, x, y, ThreatModel("l2")).success.all()


def test_confidence_is_asked_of_every_point() -> None:
    model = linear_model(4, (12,))
    x = torch.rand(6, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    targets = (y + 1) % 4
    found = run(
        CarliniWagnerL2(confidence=2.0, steps=60), model, x, y, ThreatModel("l2", targeted=True), targets=targets
    )
    assert found.success.any()
    z = model(found.adversarials)
    gap = z.gather(1, targets[:, None]).squeeze(1) - z.scatter(1, targets[:, None], -torch.inf).amax(1)
    assert (gap[found.success] >= 2 - 1e-9).all()


def test_an_early_end_saves_steps_of_its_own_sample_only() -> None:
    model = linear_model(3, (12,))
    x = torch.rand(6, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    full = run(CarliniWagnerL2(steps=200, step_size=0.01, abort_early=False), model, x, y, ThreatModel("l2"))
    early = run(CarliniWagnerL2(steps=200, step_size=0.01), model, x, y, ThreatModel("l2"))
    assert early.forwards.sum() < 0.9 * full.forwards.sum()
    assert (early.distance <= 1.02 * full.distance).all()
    assert len(early.forwards.unique()) > 1, "each sample ends in its own time"
    for i in (0, 3):
        alone = run(CarliniWagnerL2(steps=200, step_size=0.01), model, x[i : i + 1], y[i : i + 1], ThreatModel("l2"))
        assert alone.forwards[0] == early.forwards[i]
        torch.testing.assert_close(alone.adversarials[0], early.adversarials[i])


def test_pixels_count_once() -> None:
    model = linear_model(2, (3, 3, 3))
    x = torch.rand(4, 3, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)

    def pixels(**settings: Any) -> torch.Tensor:
        found = run(CarliniWagnerL0(**settings), model, x, y, ThreatModel("l0"))
        assert found.success.all()
        return (found.adversarials != x).any(1).flatten(1).sum(1)

    assert (pixels(pixels=True) <= pixels()).all()


class Blind(torch.nn.Module):
    """A model without a gradient, right only on images that are not black."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = (x.flatten(1).sum(1) > 0).float()
        return torch.stack((bright, 1 - bright), 1) + 0 * x.flatten(1).sum(1, keepdim=True)


def test_a_failure_is_no_black_image() -> None:
    x, y = 0.5 + torch.rand(3, 1, 4, 4) / 2, torch.zeros(3, dtype=torch.int64)
    foolbox = pytest.importorskip("foolbox")
    peer = foolbox.attacks.L2CarliniWagnerAttack(2, 5)
    theirs, _, success = peer(foolbox.PyTorchModel(Blind().eval(), (0, 1)), x, y, epsilons=None)
    assert success.all()
    assert not theirs.any(), "the peer calls all-black images a success"
    for attack, norm in ((CarliniWagnerL2(search_steps=2, steps=5), "l2"), (CarliniWagnerL0(steps=10), "l0")):
        ours = run(attack, Blind().eval(), x, y, ThreatModel(norm))  # type: ignore[arg-type]
        assert not ours.success.any()
        assert torch.equal(ours.adversarials, x)


BAD_L2: list[dict[str, Any]] = [
    {"search_steps": 0}, {"steps": 0}, {"step_size": 0.0}, {"initial_c": 0.0}, {"stretch": 0.0}, {"confidence": -1.0},
]  # fmt: skip
BAD_L0: list[dict[str, Any]] = [
    {"steps": 0}, {"steps_per_set": 0}, {"step_size": 0.0}, {"initial_c": 0.0}, {"largest_c": 1e-9},
    {"dropped_share": 1.0}, {"confidence": -1.0}, {"importance": "size"}, {"stretch": 0.0},
]  # fmt: skip


@pytest.mark.parametrize("settings", BAD_L2, ids=str)
def test_l2_refuses_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        CarliniWagnerL2(**settings)


@pytest.mark.parametrize("settings", BAD_L0, ids=str)
def test_l0_refuses_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        CarliniWagnerL0(**settings)
