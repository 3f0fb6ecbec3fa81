"""PDPGD finds the least distance where it is known, and less than its peers on digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_pdpgd._pdpgd import PDPGD
from advplug_attack_pdpgd._weights import Weights

import advplug
from advplug import ThreatModel
from advplug.errors import InvalidInput
from advplug.numerics import norms, wrap
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model

EXACT: dict[str, Any] = {"l0": {"penalty": "l0"}, "l1": {}, "l2": {}, "linf": {}}


def _images(*shape: int) -> torch.Tensor:
    return torch.rand(8, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("norm", list(EXACT))
def test_reaches_the_optimum(norm: Any, bounds: tuple[float, float]) -> None:
    for batch, targeted in ((1, False), (8, False), (8, True)):
        attack = PDPGD(**EXACT[norm])
        over = distance_over_optimum(attack, norm, bounds=bounds, batch=batch, targeted=targeted)
        assert over.max() <= (1.0 if norm == "l0" else 1.05)


@pytest.mark.parametrize("norm", list(EXACT))
def test_five_classes(norm: Any) -> None:
    """Descent may end at another class than the nearest, but not often, and not much further."""
    over = distance_over_optimum(PDPGD(**EXACT[norm]), norm, classes=5)
    assert over.max() < 1.2
    assert over.median() <= 1.05


def test_the_variants_of_the_text_and_the_code_work() -> None:
    for settings in (
        {"inner": 5, "start_widths": (0.5,), "fine_tuning": 0.0, "step_size": 0.1, "dual_step_size": 0.1},
        {"schedule": "linear", "dual_schedule": "constant", "averaging": 0.0},
    ):
        for norm in ("linf", "l2", "l1"):
            assert distance_over_optimum(PDPGD(steps=250, **settings), norm).median() < 1.2, (norm, settings)
    for penalty in ("l0", "two_thirds", "half", "l1"):
        assert distance_over_optimum(PDPGD(steps=250, penalty=penalty), "l0").median() <= 2


@pytest.mark.parametrize("penalty", ["l0", "two_thirds"])
def test_groups_count_pixels(penalty: str) -> None:
    model, x = linear_model(2, (3, 4, 4)), _images(3, 4, 4)
    y = model(x).argmax(1)
    pixels = advplug.run(PDPGD(group="pixel", penalty=penalty), model, x, y, ThreatModel("l0", None))
    values = advplug.run(PDPGD(penalty=penalty), model, x, y, ThreatModel("l0", None))
    assert pixels.success.all()

    def count(result: Any) -> float:
        return float(norms((result.adversarials - x).abs().amax(1), "l0").mean())

    assert count(pixels) <= count(values)


def test_later_restarts_never_go_further() -> None:
    model, x = linear_model(3, (12,)), _images(12)
    y = model(x).argmax(1)
    one, three = (
        advplug.run(PDPGD(steps=60), model, x, y, ThreatModel("l1", None), restarts=count) for count in (1, 3)
    )
    assert (three.distance <= one.distance).all()


def test_the_ascent_follows_the_constraint_and_stays_bounded() -> None:
    success = wrap(torch.tensor([True, False]))
    weights = Weights.at_ratio(0.01, wrap(torch.zeros(2, 3)))
    assert weights.ratio.raw.tolist() == pytest.approx([0.01, 0.01])
    for _ in range(500):
        weights = weights.ascend(success, 0.1, 0.9)
    assert weights.ratio.raw[0] > 1e5
    assert weights.ratio.raw[1] < 1e-5
    assert weights.u.raw.abs().max() < 14


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"step_size": 0.0},
        {"averaging": 1.0},
        {"fine_tuning": -0.1},
        {"start_widths": ()},
        {"start_widths": (-1.0,)},
        {"penalty": "l3"},
        {"group": "row"},
        {"schedule": "cosine"},
        {"inner": 0},
        {"ratio": float("nan")},
    ],
)
def test_bad_hyper_parameters_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        PDPGD(**options)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_goes_no_further_than_foolbox_on_digits(norm: Any) -> None:
    foolbox = pytest.importorskip("foolbox")
    net, x, y = shipped_digits("mnist-relu", 10)
    steps = 300
    attacks = foolbox.attacks
    if norm != "l2" and not hasattr(attacks, "LInfFMNAttack"):
        pytest.skip("this Foolbox has no FMN: it came with 3.3.2")
    peer = {
        "linf": lambda: attacks.LInfFMNAttack(steps=steps),
        "l2": lambda: attacks.DDNAttack(steps=steps),
        "l1": lambda: attacks.L1FMNAttack(steps=steps),
        "l0": lambda: attacks.L0FMNAttack(steps=steps),
    }[norm]()
    points, _, success = peer(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), x, y, epsilons=None)
    ours = advplug.run(PDPGD(steps=steps), net, x, y, ThreatModel(norm, None))
    both = success & ours.correct
    assert ours.success[ours.correct].all()
    assert ours.distance[both].mean() <= 1.02 * norms(points - x, norm)[both].mean()
