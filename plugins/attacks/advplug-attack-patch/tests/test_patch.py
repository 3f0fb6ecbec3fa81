"""Patches: squares within the budget, the best place of a linear model, and real digits."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_patch import Patch
from advplug_attack_patch._windows import far_from, inside, window_sums
from hypothesis import given, settings
from hypothesis import strategies as st

from advplug import ThreatModel, load, run
from advplug.errors import InvalidInput
from advplug.losses import Margin
from advplug.testing.linear import linear_model


@given(st.integers(1, 7), st.integers(1, 9), st.lists(st.integers(1, 9), min_size=1, max_size=4))
@settings(max_examples=40)
def test_sums_are_those_of_the_squares(height: int, width: int, sides: list[int]) -> None:
    side = torch.tensor(sides)
    values = torch.rand(len(sides), height, width, generator=torch.Generator().manual_seed(height), dtype=torch.float64)
    sums = window_sums(values, side)
    for sample, size in enumerate(sides):
        for row in range(height):
            for column in range(width):
                if row + size > height or column + size > width:
                    assert sums[sample, row, column] == -torch.inf
                    continue
                corner = torch.tensor([[row, column]])
                mask = inside(corner, torch.tensor([size]), height, width)[0, 0]
                assert int(mask.sum()) == size * size
                torch.testing.assert_close(sums[sample, row, column], values[sample][mask].sum())
                assert not bool(far_from(corner, torch.tensor([size]), height, width)[0, row, column])


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_finds_the_best_square_of_a_linear_model(bounds: tuple[float, float]) -> None:
    """Of two classes the best content is known, and so is the best place: the one of the largest change."""
    model = linear_model(2, (2, 6, 7))
    share = torch.rand(32, 2, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = bounds[0] + (bounds[1] - bounds[0]) * share
    y = model(x).argmax(1)
    found = run(Patch(steps=60), model, x, y, ThreatModel("l0", 19, bounds), loss=Margin(), early_end=False)
    weight = next(model.parameters()).detach()
    push = (weight[y] - weight[1 - y]).view_as(x)
    change = torch.where(push > 0, x - bounds[0], bounds[1] - x) * push.abs()
    best = window_sums(change.sum(1), torch.full((32,), 3)).flatten(1).amax(1)
    margin = (push * x).flatten(1).sum(1)
    torch.testing.assert_close(margin - found.trace.double().amin(0), best, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.success, best > margin)
    delta = (found.adversarials - x).abs().amax(1) > 0
    tall, wide = delta.any(2).sum(1), delta.any(1).sum(1)
    assert bool((tall <= 3).all())
    assert bool((wide <= 3).all())


def test_more_places_break_more_digits_and_a_fixed_place_fewer() -> None:
    pytest.importorskip("advplug_defense_adversarial_training")
    pytest.importorskip("advplug_data_mnist")
    pytest.importorskip("advplug_attack_pgd")
    model = load("defense:adversarial-training")().build("mnist")
    digits = load("data:mnist")().load("shipped", limit=50)
    threat = ThreatModel("l0", 36)

    def broken(places: int) -> int:
        attack = Patch(steps=20 * places, places=places)
        return int(run(attack, model, digits.inputs, digits.labels, threat).success.sum())

    middle = torch.zeros(1, 28, 28)
    middle[:, 11:17, 11:17] = 1
    fixed = ThreatModel("l0", 36, mask=middle)
    pgd = load("attack:pgd")(steps=40, step_size=0.2, rule="sign")
    centred = int(run(pgd, model, digits.inputs, digits.labels, fixed).success.sum())
    one, five = broken(1), broken(5)
    assert one <= five
    assert centred < five


def test_a_mask_keeps_the_square_to_a_region() -> None:
    model = linear_model(3, (1, 8, 8))
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    mask = torch.zeros(1, 8, 8, dtype=torch.float64)
    mask[:, 4:] = 1
    found = run(Patch(), model, x, y, ThreatModel("l0", 16, mask=mask))
    assert found.success.any()
    assert torch.equal(found.adversarials[:, :, :4], x[:, :, :4])


def test_of_a_vector_it_changes_one_value() -> None:
    model = linear_model(3, (6,))
    x = torch.rand(16, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = run(Patch(), model, x, model(x).argmax(1), ThreatModel("l0", 5))
    assert int((found.adversarials != x).sum(1).max()) == 1


def test_more_places_than_steps_are_refused() -> None:
    with pytest.raises(InvalidInput, match="places is 30: give at most one for each of the 20 steps"):
        Patch(steps=20, places=30)
