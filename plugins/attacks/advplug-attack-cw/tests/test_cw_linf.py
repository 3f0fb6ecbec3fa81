"""The Linf attack of Carlini and Wagner where the least distance or the peer's is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from advplug_attack_cw._linf import CarliniWagnerLinf

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.testing import conformance
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model

test_contract = conformance("attack:cw-linf")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number."""
    monkeypatch.setitem(CarliniWagnerLinf.__init__.__kwdefaults__, "steps", 200)


LINF = ThreatModel("linf")


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize(("classes", "targeted"), [(2, False), (5, False), (2, True)])
def test_the_least_distance(bounds: tuple[float, float], classes: int, targeted: bool) -> None:
    attack = CarliniWagnerLinf(steps=600)
    ratio = distance_over_optimum(attack, "linf", bounds=bounds, classes=classes, targeted=targeted)
    assert ratio.mean() <= 1.1
    assert ratio.max() <= 1.25


def test_closer_than_art_on_digits() -> None:
    """Whose attack starts anew for each bound, and takes many more gradients."""
    pytest.importorskip("art")
    from art.attacks.evasion import CarliniLInfMethod
    from art.estimators.classification import PyTorchClassifier

    net, x, y = shipped_digits("mnist-relu", 3)
    wrapped = PyTorchClassifier(net, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1))
    peer = CarliniLInfMethod(wrapped, max_iter=5, batch_size=3, verbose=False)
    points = torch.from_numpy(peer.generate(x.numpy(), np.eye(10)[y]))
    broken = net(points).argmax(1) != y
    theirs = (points - x).flatten(1).norm(p=torch.inf, dim=1)[broken]
    ours = run(CarliniWagnerLinf(steps=300), net, x, y, LINF)
    assert ours.success.all()
    assert not broken.all() or ours.distance.mean() <= theirs.mean()


def test_confidence_is_asked_of_every_point() -> None:
    model = linear_model(3, (12,))
    x = torch.rand(6, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    found = run(CarliniWagnerLinf(confidence=1.0, steps=200), model, x, y, LINF)
    assert found.success.any()
    z = model(found.adversarials)
    gap = z.scatter(1, y[:, None], -torch.inf).amax(1) - z.gather(1, y[:, None]).squeeze(1)
    assert (gap[found.success] >= 1 - 1e-9).all()


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_values_at_the_bounds_move(bounds: tuple[float, float]) -> None:
    model = linear_model(2, (16,))
    x = torch.where(torch.arange(64).view(4, 16) % 3 == 0, *bounds).double()
    assert run(
        CarliniWagnerLinf(steps=200), model, x, model(x).argmax(1), ThreatModel("linf", bounds=bounds)
    ).success.all()


def test_a_smaller_bound_each_time_ends_nearer() -> None:
    net, x, y = shipped_digits("mnist-relu", 6)
    near, far = (run(CarliniWagnerLinf(steps=steps), net, x, y, LINF) for steps in (400, 40))
    assert near.distance.mean() < 0.9 * far.distance.mean()


BAD: list[dict[str, Any]] = [
    {"steps": 0}, {"steps_per_tau": 0}, {"step_size": 0.0}, {"finest_step": 0.0}, {"initial_c": 0.0},
    {"largest_c": 1e-9}, {"shrink": 1.0}, {"confidence": -1.0}, {"stretch": 0.0},
]  # fmt: skip


@pytest.mark.parametrize("settings", BAD, ids=str)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        CarliniWagnerLinf(**settings)
