"""What the attacks ask: one decision at a time, as many as they may, and nothing but decisions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_decision import Boundary, GeoDA, HopSkipJump, RayS, SignOPT
from advplug_attack_decision._segment import Segment
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.attack import Attack
from advplug.criteria import Misclassified
from advplug.engine.problem import make_problem
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput
from advplug.model import Decision
from advplug.numerics import norms
from advplug.testing.linear import linear_model
from advplug.testing.models import Watched
from advplug.threat import Norm

EVERY: list[tuple[type[Attack], Norm]] = [
    (Boundary, "l2"),
    (GeoDA, "l2"),
    (GeoDA, "linf"),
    (GeoDA, "l1"),
    (HopSkipJump, "l2"),
    (HopSkipJump, "linf"),
    (RayS, "linf"),
    (SignOPT, "l2"),
    (SignOPT, "linf"),
]
every = pytest.mark.parametrize(("kind", "norm"), EVERY)


class DecisionsOnly(nn.Module):
    """The decision of ``inner`` as scores 0 and 1, without a gradient."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.inner(x)
        return torch.nn.functional.one_hot(scores.argmax(1), scores.shape[1]).to(x.dtype)


def case(count: int = 6, classes: int = 3) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(classes, (1, 5, 5), seed=1)
    x = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return model, x, model(x).argmax(1)


@every
def test_each_sample_asks_as_often_as_it_may_and_takes_no_gradient(kind: Any, norm: Norm) -> None:
    model, x, y = case()
    result = run(kind(queries=77), model, x, y, ThreatModel(norm))
    assert result.forwards.tolist() == [77] * 6
    assert not result.backwards.any()


@every
def test_scores_tell_it_nothing(kind: Any, norm: Norm) -> None:
    model, x, y = case()
    seeing = run(kind(queries=150), model, x, y, ThreatModel(norm))
    blind = run(kind(queries=150), DecisionsOnly(model), x, y, ThreatModel(norm))
    assert blind.success.all()
    assert torch.equal(seeing.adversarials, blind.adversarials)


@every
def test_a_sample_does_the_same_alone(kind: Any, norm: Norm) -> None:
    """Some bisect while others draw: none waits for another."""
    model, x, y = case()
    together = run(kind(queries=200), model, x, y, ThreatModel(norm)).distance
    for i in range(3):
        rows = torch.tensor([i])
        problem = make_problem(model, x[rows], y[rows], ThreatModel(norm), samples=rows)
        torch.testing.assert_close(run_attack(kind(queries=200), problem).distance, together[rows])


@pytest.mark.parametrize(("kind", "norm"), [row for row in EVERY if row[0] is not RayS])
def test_begins_at_a_given_image_of_another_class(kind: Any, norm: Norm) -> None:
    """On a model that calls no noise wrong: only what resembles the given image is on the other side."""
    ramp = torch.linspace(0, 1, 36, dtype=torch.float64).view(1, 6, 6)

    class Quiet(nn.Module):
        """Class 1 for images near a ramp, class 0 for all others."""

        def forward(self, x: Tensor) -> Tensor:
            near = 0.01 - (x - ramp).flatten(1).square().mean(1)
            return torch.stack((0 * near, near), 1)

    x = torch.full((3, 1, 6, 6), 0.9, dtype=torch.float64)
    y = torch.zeros(3, dtype=torch.int64)
    lost = run(kind(queries=40), Quiet(), x, y, ThreatModel(norm))
    given = run(kind(queries=300), Quiet(), x, y, ThreatModel(norm), starting_points=ramp.expand_as(x).contiguous())
    assert not lost.success.any()
    assert given.success.all()
    assert (given.distance < 0.95 * norms(ramp - x, norm)).all()


@every
def test_reaches_targets(kind: Any, norm: Norm) -> None:
    model, x, y = case()
    result = run(kind(queries=300), model, x, y, ThreatModel(norm, targeted=True), targets=(y + 1) % 3)
    assert result.success.all()
    assert torch.equal(model(result.adversarials).argmax(1), (y + 1) % 3)


@every
def test_any_criterion_will_do(kind: Any, norm: Norm) -> None:
    """Another class than the last and than the true one."""
    model, x, y = case(classes=4)

    class NotTheLast(Misclassified):
        def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
            return super().__call__(decision, labels, targets) & (decision.labels != 3)

    result = run(kind(queries=300), model, x, y, ThreatModel(norm), criterion=NotTheLast())
    usual = run(kind(queries=300), model, x, y, ThreatModel(norm))
    assert result.success.all()
    assert (model(result.adversarials).argmax(1) != 3).all()
    assert (model(usual.adversarials).argmax(1) == 3).any()


@every
def test_a_masked_part_stays_as_it_is(kind: Any, norm: Norm) -> None:
    model, x, y = case()
    mask = torch.ones(1, 5, 5, dtype=torch.bool)
    mask[..., 0] = False
    result = run(kind(queries=300), model, x, y, ThreatModel(norm, mask=mask))
    assert result.success.all()
    assert torch.equal(result.adversarials[..., 0], x[..., 0])


def test_rays_breaks_what_lies_behind_no_corner_of_the_paper() -> None:
    """With a pixel masked the darkest image and its parts keep the class of most samples; other corners do not."""
    model = linear_model(2, (1, 5, 5), seed=0)
    x = torch.rand(8, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.ones(1, 5, 5, dtype=torch.bool)
    mask[0, 0, 0] = False
    result = run(RayS(queries=300), model, x, model(x).argmax(1), ThreatModel("linf", mask=mask))
    assert result.success.all()


@every
def test_half_precision_ends_near_single(kind: Any, norm: Norm) -> None:
    model, x, y = case()
    single = run(kind(queries=400), model.float(), x.float(), y, ThreatModel(norm))
    half = run(kind(queries=400), model.half(), x.float(), y, ThreatModel(norm))
    assert half.success.all()
    assert half.distance.median() <= 1.15 * single.distance.median()


@every
def test_every_point_is_within_the_bounds(kind: Any, norm: Norm) -> None:
    model, x, _ = case()
    watched = Watched(kind(queries=150))
    run(watched, model, 4 * x - 1, model(4 * x - 1).argmax(1), ThreatModel(norm, bounds=(-1.0, 3.0)))
    assert len(watched.points) == 150
    assert all(point.min() >= -1 and point.max() <= 3 for point, _, _ in watched.points)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_bisection_ends_at_the_boundary_on_its_far_side(norm: Norm) -> None:
    clean, far = torch.zeros(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64) + 0.5
    edge = torch.tensor([0.1, 0.5, 0.93], dtype=torch.float64)
    segment, steps = Segment.to(far), 0
    while not segment.narrow(1e-4).all():
        share = (segment.low + segment.high) / 2
        segment, steps = segment.halved(share >= edge), steps + 1
    assert steps == 14
    assert ((segment.high >= edge) & (segment.high - edge <= 1e-4)).all()
    assert torch.equal(segment.at(clean, torch.ones(3).double(), norm), far)


@pytest.mark.parametrize("name", ["boundary", "geoda", "hopskipjump", "rays", "sign-opt"])
def test_bad_hyper_parameters_are_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(InvalidInput, match="queries is 0: give at least 1"):
        load(f"attack:{name}")(queries=0)
