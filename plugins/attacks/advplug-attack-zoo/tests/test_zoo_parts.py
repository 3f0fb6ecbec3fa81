"""Slopes against autograd, Newton's step, the grids and how coordinates are drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_zoo._grids import Grids
from advplug_attack_zoo._slopes import Slopes
from advplug_attack_zoo._solvers import Moments, newton_step
from advplug_attack_zoo._space import Values, drawn
from advplug_attack_zoo._zoo import ZOO, Descent
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import PlainModel, ThreatModel, run
from advplug.attack import Task
from advplug.numerics import raw, wrap


class Recorded(ZOO):
    """Notes what it estimates: the point, the coordinates and the slopes of the whole objective."""

    def _total(self, box: Any, space: Any, at: Any, loss: Slopes, c: Any) -> Slopes:
        total = super()._total(box, space, at, loss, c)
        self.noted = (box, space, at, total, raw(c))
        return total


def smooth_net() -> nn.Module:
    """Two classes, smooth, float64."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 20), nn.Tanh(), nn.Linear(20, 3)).double().eval()


@pytest.mark.parametrize("tanh", [False, True])
@pytest.mark.parametrize("space", [None, 9, 16])
def test_slopes_and_curvatures_against_autograd(space: int | None, tanh: bool) -> None:
    """200 coordinates, of an image with a third of its values at either bound."""
    net = smooth_net()
    x = (3 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1).clamp(0, 1)
    if space is not None:  # a grid moves values at a bound and inside at once: the objective has a kink there
        x = 0.25 + x / 2
    y = net(x).argmax(1)
    attack = Recorded(
        search_steps=1, steps=4, coordinates=200, h=1e-4, space=space, tanh=tanh, initial_c=3.0, patience=None
    )
    run(attack, net, x, y, ThreatModel("l2"))
    box, _space, at, total, c = attack.noted
    spread = Values(x.shape[1:]) if space is None else Grids.of(x, (space,))

    def objective(steps: Tensor) -> Tensor:
        change = at.change + wrap(spread.spread(at.stage, at.coordinates, steps))
        point = raw(type(box).moved(_Unclipped(box), change) if not tanh else box.moved(change))
        z = net(point)
        rest = z.scatter(1, y[:, None], -torch.inf).amax(1)
        loss = (z.gather(1, y[:, None]).squeeze(1) - rest).clamp_min(0)
        return ((point - x).square().flatten(1).sum(1) + c * loss).sum()

    here = torch.zeros(2, 200, dtype=torch.float64, requires_grad=True)
    exact = torch.autograd.grad(objective(here), here)[0]
    error = (total.slope - exact).norm(dim=1) / exact.norm(dim=1)
    assert (error < 1e-2).all(), error
    curve = torch.autograd.functional.hessian(objective, torch.zeros(2, 200, dtype=torch.float64))
    bend = torch.stack([curve[i, :, i].diagonal() for i in range(2)])
    if not tanh:  # with it, values at a bound are cut and bend nowhere on one side
        assert ((total.curvature - bend).abs() <= 1e-2 * bend.abs().amax()).all()


class _Unclipped:
    """A box whose inputs autograd can follow beyond the bounds."""

    def __init__(self, box: Any) -> None:
        self.clean, self.width, self.bounds = box.clean, box.width, (-9.0, 9.0)


@given(slope=st.floats(-5, 5), bend=st.floats(-5, 5), side=st.sampled_from([(-1, 1), (1, 2), (-2, -1)]))
@settings(max_examples=30)
def test_a_parabola_is_recovered(slope: float, bend: float, side: tuple[int, int]) -> None:
    offsets = 0.01 * torch.tensor(side, dtype=torch.float64).view(2, 1, 1)
    found = Slopes.through(offsets, slope * offsets + bend * offsets**2 / 2)
    torch.testing.assert_close(found.slope.item(), slope, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.curvature.item(), bend, rtol=1e-9, atol=1e-8)


def test_newton_reaches_the_minimum_of_a_parabola() -> None:
    """In one step; where the curvature is not positive it goes down the slope, and none counts as less than 0.1."""
    slopes = Slopes(torch.tensor([[3.0, -2.0, 1.0]]).double(), torch.tensor([[6.0, 0.01, -4.0]]).double())
    torch.testing.assert_close(newton_step(slopes), torch.tensor([[-0.5, 20.0, -1.0]]).double())


def test_adam_counts_the_updates_of_each_coordinate() -> None:
    past = Moments.none(wrap(torch.zeros(1, 2).double()), 2)
    for coordinate, slope in ((0, 5.0), (0, 5.0), (1, -0.01)):
        slopes = torch.full((1, 1), slope).double()
        past, step = past.stepped(torch.tensor([[coordinate]]), slopes, (0.9, 0.999))
        torch.testing.assert_close(step, -slopes.sign(), rtol=1e-5, atol=0)  # of size 1 as long as slopes stay
    assert raw(past.seen).tolist() == [[2.0, 1.0]]
    assert raw(past.forgotten(wrap(torch.tensor([True]))).seen).tolist() == [[0.0, 0.0]]


def test_grids_scale_up_bilinearly() -> None:
    images, grids = torch.rand(2, 3, 20, 14), (4, 7)
    space = Grids.of(images, grids)
    assert (space.size, space.fewest) == (3 * 49, 3 * 16)
    stage, small = torch.tensor([0, 1]), [torch.rand(3, side, side) for side in grids]
    values = torch.stack([nn.functional.pad(part, (0, 7 - part.shape[2], 0, 7 - part.shape[1])) for part in small])
    every = torch.arange(space.size).expand(2, -1)
    image = space.spread(stage, every, values.flatten(1))
    for i, part in enumerate(small):
        expected = nn.functional.interpolate(part[None], size=(20, 14), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(image[i], expected)
    directions = space.directions(stage, every)
    summed = torch.einsum("bnchw,nb->nchw", directions, values.flatten(1))
    torch.testing.assert_close(summed, image, rtol=1e-4, atol=1e-5)
    slopes = torch.rand_like(images)
    torch.testing.assert_close(space.along(stage, every, slopes), torch.einsum("bnchw,nchw->nb", directions, slopes))
    squared = torch.einsum("bnchw,nchw->nb", directions.square(), slopes)
    torch.testing.assert_close(space.along(stage, every, slopes, squared=True), squared)
    there = directions.flatten(2).abs().sum(2).T > 0
    peak = directions.abs().flatten(2).argmax(2).T
    at_peak = directions.flatten(2).gather(2, space.peak(stage, every).T[..., None]).squeeze(2).T
    torch.testing.assert_close(at_peak, directions.flatten(2).gather(2, peak.T[..., None]).squeeze(2).T)
    assert torch.equal(there, space.weights(stage, images, importance=False) > 0), "what a stage lacks is never drawn"


def test_a_larger_grid_goes_on_from_the_same_image_without_a_past() -> None:
    """The change carries over as it is; Adam begins anew."""
    seen: list[tuple[Tensor, Tensor]] = []

    class Noted(ZOO):
        def descend(self, task: Task, inner: Descent, c: Any, step: Any) -> Any:
            after = super().descend(task, inner, c, step)
            seen.append((raw(inner.change), raw(after[0].past.seen)))
            return after

    net = smooth_net()
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    attack = Noted(search_steps=1, steps=6, coordinates=30, space=4, schedule=((3, 8),), patience=None)
    run(attack, net, x, net(x).argmax(1), ThreatModel("l2"))
    before, after = seen[2][1].sum(), seen[3][1].sum()
    assert (before, after) == (90, 30), "three steps in the small grid, one in the large"
    small = nn.functional.interpolate(seen[3][0], size=(4, 4), mode="area")
    assert small.abs().sum() > 0, "what the small grid found is still there"


def test_importance_follows_the_change_from_the_second_grid_on() -> None:
    images = torch.zeros(2, 1, 32, 32)
    images[:, :, :4, :4] = 0.3  # the first of eight by eight regions
    images[:, :, 4:8, :4] = -0.1
    space = Grids.of(images, (8, 16))
    weights = space.weights(torch.tensor([0, 1]), images, importance=True).view(2, 16, 16)
    assert (weights[0, :8, :8] == 1).all()
    share = weights[1] / weights[1].sum()
    torch.testing.assert_close(share[:2, :2], torch.full((2, 2), 0.75 / 4))
    torch.testing.assert_close(share[2:4, :2], torch.full((2, 2), 0.25 / 4))
    torch.testing.assert_close(share.sum(), torch.tensor(1.0))
    assert (space.weights(torch.tensor([1, 1]), images, importance=False) == 1).all()


def test_coordinates_are_drawn_by_their_weights_and_once_each() -> None:
    weights = torch.tensor([4.0, 2.0, 1.0, 1.0, 0.0]).expand(4000, -1)
    uniform = torch.rand(4000, 5, generator=torch.Generator().manual_seed(0))
    one = drawn(weights, uniform, 1).flatten().bincount(minlength=5) / 4000
    torch.testing.assert_close(one, torch.tensor([0.5, 0.25, 0.125, 0.125, 0.0]), atol=0.03, rtol=0)
    four = drawn(weights, uniform, 4).sort(1).values
    assert (four == torch.arange(4)).all(), "without replacement, and never what has no weight"


def test_float32_scores_want_a_larger_h() -> None:
    """At 1e-4 rounding makes up most of the curvature of a float32 net; at the default it does not."""
    net = smooth_net().float()
    exact = smooth_net()
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) / 2 + 0.25
    y = net(x).argmax(1)

    def curvature(model: nn.Module, inputs: Tensor, h: float) -> Tensor:
        attack = Recorded(search_steps=1, steps=1, h=h, initial_c=100.0)
        run(attack, PlainModel(model, 3), inputs, y, ThreatModel("l2"))
        return attack.noted[3].curvature.double()

    truth = curvature(exact, x.double(), 1e-3)
    small, default = (float((curvature(net, x, h) - truth).abs().mean()) for h in (1e-4, ZOO().h))
    assert small > 20 * default
