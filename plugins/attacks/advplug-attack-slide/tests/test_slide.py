"""SLIDE on linear models, where the best attack is known, and beside Foolbox on digits."""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import pytest
import torch
from advplug_attack_slide._slide import SLIDE, sign_of_largest

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.numerics import raw
from advplug.testing import conformance
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import largest_change, linear_model

test_conformance = conformance("attack:slide")


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_as_good_as_the_best_attack_on_a_linear_model(bounds: tuple[float, float]) -> None:
    """It breaks every sample that some point within the budget breaks."""
    model = linear_model(2, (24,))
    share = torch.rand(40, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * share
    y, width = model(x).argmax(1), bounds[1] - bounds[0]
    push = model[1].weight[y] - model[1].weight[1 - y]  # type: ignore[index]
    margin = (push * x).sum(1).detach()
    within = margin < largest_change(push.detach(), x, "l1", 1.0 * width, bounds) * 0.98
    result = run(SLIDE(), model, x, y, ThreatModel("l1", 1.0 * width, bounds), loss=Margin())
    assert 0 < within.double().mean() < 1
    assert result.success[within].all()


def test_the_step() -> None:
    """The largest two of eight, with their signs, at L1 length 1; one at least; nothing where there is no gradient."""
    g = ep.astensor(torch.tensor([[0.1, -5.0, 0.2, 3.0, 0, 0, 0, 0], [0.0] * 8]))
    torch.testing.assert_close(raw(sign_of_largest(g, 0.25)), torch.tensor([[0, -0.5, 0, 0.5, 0, 0, 0, 0], [0.0] * 8]))
    assert raw(sign_of_largest(g, 0.01))[0].tolist() == [0, -1, 0, 0, 0, 0, 0, 0]


def test_no_weaker_than_foolbox_on_digits() -> None:
    foolbox = pytest.importorskip("foolbox")
    net, x, y = shipped_digits("mnist-relu")
    epsilon = 6.0
    peer = foolbox.attacks.SparseL1DescentAttack(steps=50, rel_stepsize=0.1)
    _, points, _ = peer(foolbox.PyTorchModel(net, (0, 1)), x, y, epsilons=epsilon)
    theirs = (net(points).argmax(1) != y) & ((points - x).flatten(1).abs().sum(1) <= epsilon * (1 + 1e-5))
    ours = run(SLIDE(steps=50), net, x, y, ThreatModel("l1", epsilon))
    assert ours.success.sum() >= theirs.sum()
    full = run(SLIDE(steps=50, skip_full=False), net, x, y, ThreatModel("l1", epsilon))
    assert ours.success.sum() >= full.success.sum()


@pytest.mark.parametrize("settings", [{"steps": 0}, {"step_size": 0.0}, {"quantile": 1.0}, {"quantile": -0.1}], ids=str)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        SLIDE(**settings)
