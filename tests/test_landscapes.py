"""The margin around samples: of linear models it is known in closed form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advplug import Recipe, ThreatModel, evaluate, load
from advplug.data import Images
from advplug.evaluation import Evaluation, model_job
from advplug.evaluation.landscapes import POINTS, SIDE, landscapes
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.records import Job
from advplug.testing.linear import linear_model

SHAPE = (1, 3, 3)
PGD = Recipe(name="pgd", attack=load("attack:pgd")(steps=3))


def job_of(threat: ThreatModel, model: nn.Module | None = None, run_dir: Path | None = None) -> Job:
    model = model or linear_model(2, SHAPE).float()
    x = 0.4 + 0.2 * torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(0))  # far from the bounds
    recipe = PGD if threat.epsilon is not None else Recipe(name="fmn", attack=load("attack:fmn")(steps=20))
    return model_job("linear", model, Images(x, model(x).argmax(1)), threat, [recipe], run_dir=run_dir)


class Stepped(nn.Module):
    """Scores in steps, which have no slope."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear_model(2, SHAPE).float()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.inner(x)
        return scores + (scores.round() - scores).detach() - scores + scores.detach()


@pytest.mark.parametrize("threat", [ThreatModel("linf", 0.05), ThreatModel("l2", 0.2), ThreatModel("l1", 0.3)])
def test_a_linear_model_is_a_plane(threat: ThreatModel) -> None:
    job = job_of(threat)
    found = evaluate(job).landscapes
    radius, shown = float(found["radius"][0]), found["shown"]
    assert radius == threat.epsilon
    assert found["random"].shape == found["descent"].shape == (len(shown), POINTS)
    assert found["plane"].shape == (len(shown), SIDE, SIDE)
    x, labels = job.images.inputs[shown].flatten(1), job.images.labels[shown]
    weight = next(job.model.parameters()).detach()
    slope = weight[labels] - weight[1 - labels]
    margin = (slope * x).sum(1).numpy()
    # The steepest way down: all of the budget against the dual norm under linf and l2, along the gradient under l1.
    steep = {"linf": slope.abs().sum(1), "l2": slope.norm(dim=1), "l1": slope.square().sum(1) / slope.abs().sum(1)}
    steps = np.linspace(-radius, radius, POINTS)
    expected = margin[:, None] - steps * steep[threat.norm].numpy()[:, None]
    np.testing.assert_allclose(found["descent"], expected, atol=1e-4)
    middle = found["plane"][:, SIDE // 2]
    np.testing.assert_allclose(middle, expected[:, :: POINTS // (SIDE - 1)], atol=1e-4)
    np.testing.assert_allclose(np.diff(found["random"], 2), 0, atol=1e-4)  # straight
    np.testing.assert_allclose(found["random"][:, POINTS // 2], margin, atol=1e-5)


def test_without_a_gradient_there_is_the_random_line_alone() -> None:
    found = evaluate(
        replace(job_of(ThreatModel("linf", 0.05)), model=job_of(ThreatModel("linf", 0.05), Stepped()).model)
    )
    assert set(found.landscapes) == {"shown", "radius", "random"}


def test_what_may_not_change_stays() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[0, 0, 0] = True
    job = job_of(ThreatModel("linf", 0.05, mask=mask))
    found = evaluate(job).landscapes
    weight = next(job.model.parameters()).detach()[:, 0]
    labels = job.images.labels[found["shown"]]
    change = np.abs(found["descent"][:, 0] - found["descent"][:, -1])
    np.testing.assert_allclose(change, 0.1 * (weight[labels] - weight[1 - labels]).abs().numpy(), atol=1e-5)


def test_minimum_norm_runs_look_as_far_as_the_median() -> None:
    evaluation = evaluate(job_of(ThreatModel("l2")))
    assert evaluation.landscapes["radius"][0] == evaluation.rows[0].median_distance


def test_l0_and_no_right_sample_give_none() -> None:
    job = job_of(ThreatModel("linf", 0.05))
    evaluation = evaluate(job)
    assert landscapes(replace(job, threat=ThreatModel("l0", 3)), evaluation) == {}
    lost = replace(evaluation.rows[0], arrays={**evaluation.rows[0].arrays, "correct": np.zeros(8, bool)})
    assert landscapes(job, replace(evaluation, rows=(lost,))) == {}


def test_it_is_stored_and_read_back_and_leaves_the_random_state(tmp_path: Path) -> None:
    job = job_of(ThreatModel("linf", 0.05), run_dir=tmp_path)
    before = torch.get_rng_state()
    found: Evaluation = evaluate(job)
    assert torch.equal(torch.get_rng_state(), before)
    stored = RunDirectory(tmp_path).load()
    assert set(stored.landscapes) == {"shown", "radius", "random", "descent", "plane"}
    for name, values in found.landscapes.items():
        np.testing.assert_array_equal(stored.landscapes[name], values)
    np.testing.assert_array_equal(stored.inputs, found.inputs)
