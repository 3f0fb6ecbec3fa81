"""The distributionally adversarial attack: its direction, the optimum of a linear model, and real digits."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_daa import DAA

from advplug import ThreatModel, load, run
from advplug.testing.linear import largest_change, linear_model


def test_points_push_each_other_apart_and_share_their_gradients() -> None:
    """Each of three goes away from the other two where there is no gradient."""
    theta = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]], dtype=torch.float64)
    nothing = torch.zeros_like(theta)
    away = DAA(particles=3)._direction(theta, nothing)[0]
    assert away[0, 0] < 0
    assert away[0, 1] < 0
    assert away[1, 0] > 0
    assert away[2, 1] > 0
    alone = torch.zeros_like(theta)
    alone[0, 0, 0] = 1.0
    shared = DAA(particles=3)._direction(theta, alone) - DAA(particles=3)._direction(theta, nothing)
    assert shared[0, 1, 0] > 0  # the gradient of the first moves the second as well
    assert torch.equal(DAA(particles=3, interaction=0.0)._direction(theta, alone), alone)


def test_points_in_one_place_do_not_divide_by_zero() -> None:
    theta = torch.ones(2, 4, 3)
    assert bool(DAA()._direction(theta, torch.ones_like(theta)).isfinite().all())


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_breaks_what_can_be_broken_on_a_linear_model(bounds: tuple[float, float]) -> None:
    model = linear_model(2, (1, 4, 4))
    share = torch.rand(32, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * share
    y = model(x).argmax(1)
    epsilon = 0.05 * (bounds[1] - bounds[0])
    found = run(DAA(interaction=0.1), model, x, y, ThreatModel("linf", epsilon, bounds))
    weight = next(model.parameters()).detach()
    push = weight[y] - weight[1 - y]
    best = largest_change(push, x.flatten(1), "linf", epsilon, bounds)
    can = best > (push * x.flatten(1)).sum(1)
    assert found.success.any()
    assert bool((found.success <= can).all())
    assert int((can & ~found.success).sum()) <= 1


def test_each_step_takes_a_gradient_for_each_point() -> None:
    model = linear_model(3, (1, 4, 4))
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = run(DAA(steps=5, particles=3), model, x, model(x).argmax(1), ThreatModel("linf", 1e-6))
    assert found.backwards.tolist() == [15] * 4
    assert found.forwards.tolist() == [18] * 4  # and the last points are judged


def test_on_digits_it_keeps_up_with_restarts_of_pgd() -> None:
    pytest.importorskip("advplug_defense_adversarial_training")
    pytest.importorskip("advplug_data_mnist")
    pytest.importorskip("advplug_attack_pgd")
    model = load("defense:adversarial-training")().build("mnist-linf")
    digits = load("data:mnist")().load("shipped", limit=40)
    threat, pgd = ThreatModel("linf", 0.32), load("attack:pgd")(steps=50, step_size=0.032)
    ours = run(DAA(), model, digits.inputs, digits.labels, threat)
    theirs = run(pgd, model, digits.inputs, digits.labels, threat, loss=DAA().default_loss, restarts=4)
    assert ours.success.sum() >= theirs.success.sum() - 2
