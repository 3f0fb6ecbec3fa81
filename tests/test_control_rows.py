"""A recipe may run on the network without the defense: what an attack can take at most."""

from __future__ import annotations

from dataclasses import replace

import torch
from advplug_attack_pgd import PGD
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.evaluation import Evaluation, evaluate, model_job
from advplug.model import DefendedModel
from advplug.report.summary import verdict
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

PLAIN = PGD(steps=20, random_start=False)


class Plain(DefendedModel):
    """A linear classifier of three classes."""

    def __init__(self) -> None:
        super().__init__(3)
        self.linear = linear_model(3, (10,)).float()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.linear(x)
        return scores


class Backwards(Plain):
    """The same classifier with a gradient of the wrong sign."""

    def forward(self, x: Tensor) -> Tensor:
        scores = super().forward(x)
        return 2 * scores.detach() - scores


def found(epsilon: float) -> Evaluation:
    model, control = Backwards(), Plain()
    x = torch.rand(60, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = Images(x, model(x).argmax(1), tuple("abc"), "noise")
    recipes = (
        Recipe(name="against the gradient", attack=PLAIN, role="baseline"),
        Recipe(name="without the defense", attack=PLAIN, role="control", on=control),
        Recipe(name="along it", attack=PGD(steps=20, step_size=epsilon, random_start=True), role="adaptive"),
    )
    return evaluate(model_job("toy", model, images, ThreatModel("linf", epsilon), recipes))


def test_a_control_is_attacked_in_place_of_the_defended_model() -> None:
    evaluation = found(0.05)
    baseline, control, _ = (row.robust_accuracy for row in evaluation.rows)
    assert 0.1 < control < baseline - 0.1  # the sign of the gradient is all that tells the two models apart
    assert evaluation.undefended_accuracy == control
    assert evaluation.rows[1].components["on"] == "Plain"
    assert "on" not in evaluation.rows[0].components


def test_without_a_budget_the_distances_decide() -> None:
    evaluation = replace(found(0.05), threat="linf:min")
    control, adaptive = (replace(row, robust_accuracy=0.0, median_distance=8.0) for row in evaluation.rows[1:])

    def led(distance: float | None, left: float = 0.0) -> Evaluation:
        row = replace(adaptive, median_distance=distance, robust_accuracy=left)
        return replace(evaluation, rows=(evaluation.rows[0], control, row))

    assert led(12.0).broken
    assert not led(12.1).broken
    assert not led(8.0, left=0.06).broken  # those that are left are further away than any
    assert not led(None, left=1.0).broken
    assert "half of its successes are at most 12 away" in verdict(led(12.0))
    assert "there half of the successes are at most 8 away" in verdict(led(12.0))
    assert replace(led(100.0), rows=(evaluation.rows[0], replace(adaptive, median_distance=100.0))).broken


def test_a_defense_is_broken_where_the_attack_leaves_what_the_network_alone_keeps() -> None:
    evaluation = found(0.05)
    baseline, control, adaptive = evaluation.rows

    def left(share: float) -> Evaluation:
        return replace(evaluation, rows=(baseline, control, replace(adaptive, robust_accuracy=share)))

    assert left(control.robust_accuracy + 0.04).broken
    assert not left(control.robust_accuracy + 0.06).broken
    assert not replace(left(control.robust_accuracy), rows=(baseline, replace(adaptive, robust_accuracy=0.35))).broken
    text = verdict(left(control.robust_accuracy))
    assert f"The network alone, without the defense, keeps {100 * control.robust_accuracy:.1f} %." in text
    assert "alone" not in verdict(replace(evaluation, rows=(baseline, adaptive)))
