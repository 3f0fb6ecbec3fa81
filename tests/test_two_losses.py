"""Selective and orthogonal gradients, the loss of a detector's scores, and weighted sums of losses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.attack import Attack
from advplug.criteria import Accepted, Misclassified
from advplug.engine.gateway import Gateway
from advplug.engine.objective import Objective
from advplug.engine.problem import make_problem
from advplug.engine.query_counter import QueryCounter
from advplug.errors import InvalidInput, NoGradient
from advplug.gradients import EOT, Estimate, Exact, FiniteDifference, GradientEstimator, Orthogonal, Selective, Smoothed
from advplug.losses import (
    ClassGaps,
    CrossEntropy,
    DetectorScore,
    FeatureMatching,
    Joint,
    Loss,
    Margin,
    TargetedDLR,
)
from advplug.model import Decision, DefendedModel
from advplug.numerics.random_numbers import Noise

PGD = load("attack:pgd")


class Plane(DefendedModel):
    """Class 0 where ``a . x > 0``; the detector's score is ``b . x``. The margin of class 0 has the gradient 2 a."""

    def __init__(self, a: tuple[float, ...], b: tuple[float, ...], threshold: float = 0.0) -> None:
        super().__init__(2, (-9.0, 9.0))
        self.a, self.b = torch.tensor(a).double(), torch.tensor(b).double()
        self.thresholds = torch.tensor([threshold])

    def forward(self, x: Tensor) -> Tensor:
        side = x @ self.a
        return torch.stack((side, -side), 1)

    def detector_scores(self, x: Tensor) -> Tensor:
        return x @ self.b

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), self.detector_scores(x) <= self.thresholds)


def objective(model: DefendedModel, n: int, targets: Tensor | None = None, loss: Loss | None = None) -> Objective:
    """The margin of ``n`` samples of class 0."""
    counter, gateway = QueryCounter(n, torch.device("cpu")), Gateway(model, torch.zeros(1, 2).double(), max_rows=100)
    return Objective(gateway, loss or Margin(), torch.zeros(n).long(), targets, torch.arange(n), counter)


def estimate(estimator: GradientEstimator, model: DefendedModel, x: Tensor, **options: Any) -> Estimate:
    return estimator(objective(model, len(x), **options), x, Noise.of(0, torch.arange(len(x)), 0), 0)


RIGHT, FOOLED = (1.0, 0.5), (-1.0, 0.5)
POINTS = torch.tensor([RIGHT, FOOLED]).double()
OBLIQUE = Plane(a=(1.0, 0.0), b=(3.0, 4.0))  # gradients (2, 0) and (3, 4)


def test_each_sample_follows_the_loss_that_it_needs() -> None:
    found = estimate(Selective(), OBLIQUE, POINTS)
    assert found.gradient.tolist() == [[2, 0], [3, 4]]
    assert found.loss.tolist() == [2 * 1 + (3 * 1 + 4 * 0.5), -2 * 1 + (-3 + 2)]
    assert torch.equal(found.logits, OBLIQUE(POINTS))


def test_the_part_along_the_other_gradient_is_left_out() -> None:
    """(2, 0) without its part along (3, 4) is (2, 0) - 6 / 25 (3, 4); the other way round (0, 4)."""
    found = estimate(Orthogonal(), OBLIQUE, POINTS).gradient
    torch.testing.assert_close(found, torch.tensor([[1.28, -0.96], [0, 4]]).double())


def test_a_target_that_is_reached_counts_as_fooled() -> None:
    targets = torch.tensor([1, 1])  # whose margin has the gradient (2, 0) as well, until class 1 is given
    assert estimate(Selective(), OBLIQUE, POINTS, targets=targets).gradient.tolist() == [[2, 0], [3, 4]]
    own = torch.tensor([0, 0])
    assert estimate(Selective(), OBLIQUE, POINTS, targets=own).gradient.tolist() == [[3, 4], [-2, 0]]


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_where_nothing_is_left_the_whole_gradient_counts(direction: float) -> None:
    model = Plane(a=(0.1, 0.3), b=(0.3 * direction, 0.9 * direction))
    found = estimate(Orthogonal(), model, POINTS).gradient
    torch.testing.assert_close(found, estimate(Selective(), model, POINTS).gradient)
    assert (found.norm(dim=1) > 0.1).all()


def test_a_flat_second_loss_leaves_the_first_as_it_is() -> None:
    flat = DetectorScore(confidence=-100)  # below 100 it is 100 everywhere
    found = estimate(Orthogonal(second=flat), OBLIQUE, POINTS[:1])
    assert found.gradient.tolist() == [[2, 0]]


@pytest.mark.parametrize("kind", [Selective, Orthogonal])
def test_a_sample_does_not_depend_on_its_batch(kind: Any) -> None:
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0)).double()
    whole = estimate(kind(), OBLIQUE, x).gradient
    alone = torch.cat([estimate(kind(), OBLIQUE, row[None]).gradient for row in x])
    assert torch.equal(whole, alone)
    assert 0 < (OBLIQUE(x).argmax(1) == 0).sum() < 9, "both kinds are among them"


@pytest.mark.parametrize("kind", [Selective, Orthogonal])
@pytest.mark.parametrize("of", [EOT(3), FiniteDifference(1e-3, 2000), Smoothed(0.01, 3), EOT(2, of=EOT(2))], ids=repr)
def test_they_compose_with_the_other_estimators(kind: Any, of: GradientEstimator) -> None:
    exact = estimate(kind(), OBLIQUE, POINTS).gradient
    for composed in (kind(of=of), EOT(2, of=kind(of=of))):
        torch.testing.assert_close(estimate(composed, OBLIQUE, POINTS).gradient, exact, rtol=0.1, atol=0.2)
        assert composed.losses == (DetectorScore(),)


def test_a_pass_of_either_loss_is_counted() -> None:
    """The detector is asked beside the classifier."""
    made = objective(OBLIQUE, 2)
    Selective()(made, POINTS, Noise.of(0, torch.arange(2), 0), 0)
    assert (made.counter.forwards.tolist(), made.counter.backwards.tolist()) == ([3, 3], [2, 2])


def test_a_detector_of_many_passes_leaves_room_for_fewer_inputs() -> None:
    """Its activations are kept for the backward pass, too."""

    class Many(Plane):
        def __init__(self) -> None:
            super().__init__((1.0, 0.0), (3.0, 4.0))
            self.layer = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.layer(x))

        def detector_scores(self, x: Tensor) -> Tensor:
            return torch.stack([super(Many, self).detector_scores(self.layer(x)) for _ in range(30)]).mean(0)

    y = torch.tensor([0, 0])
    joint = Joint(((1.0, Margin()), (1.0, DetectorScore())))
    plain, first, second = (
        make_problem(Many(), POINTS, y, THREAT, loss=loss, gradient=gradient).gateway().max_rows
        for loss, gradient in ((Margin(), None), (joint, None), (Margin(), EOT(2, Selective())))
    )
    assert first == second
    assert plain > 10 * first


@pytest.mark.parametrize("kind", [Selective, Orthogonal])
def test_losses_of_several_values_stay_alone(kind: Any) -> None:
    own = estimate(Exact(), OBLIQUE, POINTS, loss=ClassGaps())
    assert torch.equal(estimate(kind(), OBLIQUE, POINTS, loss=ClassGaps()).gradient, own.gradient)
    with pytest.raises(InvalidInput, match=r"ClassGaps\(count=9\) has several values per sample"):
        estimate(kind(ClassGaps()), OBLIQUE, POINTS)


def test_the_second_loss_is_checked_before_any_compute() -> None:
    with pytest.raises(InvalidInput, match="TargetedDLR needs targets"):
        run(PGD(steps=1), OBLIQUE, POINTS, torch.tensor([0, 0]), THREAT, gradient=EOT(2, of=Selective(TargetedDLR())))


THREAT = ThreatModel("l2", 3.0, (-9.0, 9.0))


ATTACKS = {"pgd": PGD(steps=200, step_size=0.1, random_start=False), "apgd": load("attack:apgd")(steps=200)}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("kind", [Selective, Orthogonal])
def test_any_attack_gets_past_both(attack: Attack, kind: Any) -> None:
    """The margin alone ends where the detector rejects: accepted is what lies below, fooled what lies to the left."""
    model = Plane(a=(1.0, 0.0), b=(-1.0, 1.0), threshold=-1.0)
    x, y = torch.tensor([[1.0, -0.5]]).double(), torch.tensor([0])
    goal = Misclassified() & Accepted()
    plain = run(attack, model, x, y, THREAT, loss=Margin(), criterion=goal)
    both = run(attack, model, x, y, THREAT, loss=Margin(), criterion=goal, gradient=kind())
    assert (plain.success.tolist(), both.success.tolist()) == ([False], [True])


def test_detector_scores_exceed_their_thresholds_by_the_worst_one() -> None:
    class Two(Plane):
        thresholds = torch.tensor([1.0, 5.0])

        def __init__(self) -> None:
            DefendedModel.__init__(self, 2, (-9.0, 9.0))
            self.a = torch.tensor([1.0, 0.0]).double()

        def detector_scores(self, x: Tensor) -> Tensor:
            return x

    x = torch.tensor([[3.0, 4.0], [0.0, 4.5]]).double()
    assert objective(Two(), 2, loss=DetectorScore()).value(x)[0].tolist() == [2, -0.5]
    assert objective(Two(), 2, loss=DetectorScore(confidence=0.25)).value(x)[0].tolist() == [2, -0.25]


class Blind(Plane):
    @torch.no_grad()
    def detector_scores(self, x: Tensor) -> Tensor:
        return super().detector_scores(x)


def test_a_detector_without_a_gradient_is_named_and_finite_differences_work() -> None:
    model = Blind(a=(1.0, 0.0), b=(3.0, 4.0))
    joint = Joint(((1.0, Margin()), (10.0, DetectorScore())))
    for loss in (DetectorScore(), joint):
        with pytest.raises(NoGradient, match="the detector scores of Blind give no gradient: "):
            estimate(Exact(), model, POINTS, loss=loss)
    found = estimate(FiniteDifference(1e-3, 4000), model, POINTS, loss=joint).gradient
    torch.testing.assert_close(found, torch.tensor([[32.0, 40.0]] * 2).double(), rtol=0.1, atol=0)


def test_a_model_without_a_detector_is_named() -> None:
    class Plain(DefendedModel):
        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(InvalidInput, match="'detector_scores': Plain has no module or method of that name"):
        estimate(Exact(), Plain(2), POINTS, loss=DetectorScore())

    class Scored(Plain):
        def detector_scores(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(InvalidInput, match="Scored has no attribute thresholds"):
        estimate(Exact(), Scored(2), POINTS, loss=DetectorScore())


def test_a_joint_loss_is_the_weighted_sum() -> None:
    parts = [objective(OBLIQUE, 2, loss=loss).value(POINTS)[0] for loss in (Margin(), CrossEntropy(), DetectorScore())]
    joint = Joint(((0.5, Margin()), (-2, CrossEntropy()), (10.0, DetectorScore())))
    wanted = 0.5 * parts[0] - 2 * parts[1] + 10 * parts[2]
    torch.testing.assert_close(objective(OBLIQUE, 2, loss=joint).value(POINTS)[0], wanted)


def test_a_joint_loss_needs_what_its_terms_need() -> None:
    matching = FeatureMatching("fc", torch.zeros(2, 3))
    joint = Joint(((1.0, TargetedDLR()), (1.0, DetectorScore()), (1.0, matching), (1.0, DetectorScore())))
    assert joint.layers == ("detector_scores", "fc")
    assert (joint.needs_targets, joint.min_classes) == (True, 4)
    assert Joint([(1, Margin())]) == Joint(((1, Margin()),)), "a list does as well"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((), "give pairs"),
        (((1.0, nn.Identity()),), "give pairs"),
        (((math.nan, Margin()),), "give a finite number"),
        ((("2", Margin()),), "give a finite number"),
        (((True, Margin()),), "give a finite number"),
    ],
)
def test_terms_that_are_none_are_refused(terms: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Joint(terms)
    with pytest.raises(InvalidInput, match="leave ClassGaps out"):
        objective(OBLIQUE, 2, loss=Joint(((1.0, Margin()), (1.0, ClassGaps())))).value(POINTS)


def test_on_a_shipped_detector_both_find_what_plain_pgd_and_a_joint_loss_miss() -> None:
    """The test of The Odds are Odd, 16 digits; docs/classifier-and-detector.md has 50."""
    digits, model = load("data:mnist")().load("shipped", limit=16), load("defense:odds")().build("mnist")
    attack = PGD(steps=25, step_size=0.04, random_start=False, judge="last")

    def left(loss: Loss | None = None, gradient: GradientEstimator | None = None) -> float:
        found = run(
            attack,
            model,
            digits.inputs,
            digits.labels,
            ThreatModel("linf", 0.3),
            loss=loss or Margin(),
            gradient=gradient,
            criterion=Misclassified() & Accepted(),
        )
        return float(found.robust_accuracy)

    plain, joint = left(), left(Joint(((1.0, Margin()), (1.0, DetectorScore()))))
    selective, orthogonal = left(gradient=Selective()), left(gradient=Orthogonal())
    assert plain > 0.8
    assert 0.4 < joint < plain
    assert selective < 0.25
    assert orthogonal < 0.1
