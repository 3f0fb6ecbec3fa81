"""What the steps of an attack say, and that nothing is computed where nobody listens."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import advplug
from advplug import ThreatModel, load
from advplug.engine import task
from advplug.losses import Margin
from advplug.testing.models import Case, linear_case
from advplug.tracking import CsvTracker, Recorder, Step, margins

PGD = load("attack:pgd")
CASE = linear_case(8)
THREAT = CASE.threat("l2", 0.5)


def steps_of(case: Case = CASE, threat: ThreatModel = THREAT, **options: object) -> list[Step]:
    recorder = Recorder()
    attack = PGD(steps=5, random_start=False)
    advplug.run(attack, case.model, case.inputs, case.labels, threat, tracker=recorder, **options)  # type: ignore[arg-type]
    return recorder.steps


def test_a_step_has_loss_margin_distance_and_gradient_of_each_sample() -> None:
    found = steps_of(loss=Margin(), early_end=False)
    assert [step.number for step in found] == list(range(6))
    assert {step.attack for step in found} == {"PGD"}
    first = found[0]
    x = CASE.inputs.clone().requires_grad_()
    scores = CASE.model(x)
    margin = margins(scores, CASE.labels)
    (gradient,) = torch.autograd.grad(margin.sum(), x)
    assert torch.equal(first.samples, torch.arange(8))
    assert torch.allclose(first.margin, margin.detach())
    assert torch.allclose(first.loss, margin.detach(), atol=1e-5)
    assert first.gradient_norm is not None
    assert torch.allclose(first.gradient_norm, gradient.flatten(1).norm(dim=1), rtol=1e-4)
    assert first.distance.tolist() == [0.0] * 8
    assert bool((found[-1].distance <= THREAT.budget * (1 + 1e-6)).all())
    assert found[-1].gradient_norm is None
    assert torch.equal(found[-1].success, found[-1].margin < 0)


def test_margins_are_the_gap_to_the_best_other_class() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    assert margins(logits, torch.tensor([0, 2])).tolist() == [1.0, -1.0]


def test_samples_keep_their_numbers_in_batches_rounds_and_stages() -> None:
    seen: dict[int, Tensor] = {}
    for step in steps_of(threat=CASE.threat("l2", 0.05), batch_size=3, restarts=2):
        for place, sample in enumerate(step.samples.tolist()):
            seen.setdefault(sample, step.margin[place])
    clean = margins(CASE.model(CASE.inputs), CASE.labels)
    assert sorted(seen) == list(range(8))
    assert torch.allclose(torch.stack([seen[number] for number in range(8)]), clean, atol=1e-5)

    recorder = Recorder()
    attack = load("attack:standard")(steps=5, queries=20)
    advplug.run(attack, CASE.model, CASE.inputs, CASE.labels, CASE.threat("l2", 0.4), tracker=recorder)
    assert [step.number for step in recorder.steps] == list(range(len(recorder.steps)))
    assert {step.samples.numel() for step in recorder.steps} != {8}
    for step in recorder.steps:
        given = CASE.inputs[step.samples]
        assert len(given) == len(step.loss) == len(step.distance)


def test_nothing_is_computed_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Step:
        raise AssertionError("nobody listens")

    monkeypatch.setattr(task, "step_of", refuse)
    advplug.run(PGD(steps=2), CASE.model, CASE.inputs, CASE.labels, THREAT)
    with pytest.raises(AssertionError, match="nobody listens"):
        steps_of()


def test_a_run_gives_the_same_bits_with_a_tracker() -> None:
    alone = advplug.run(PGD(steps=5), CASE.model, CASE.inputs, CASE.labels, THREAT, restarts=2)
    heard = advplug.run(PGD(steps=5), CASE.model, CASE.inputs, CASE.labels, THREAT, restarts=2, tracker=Recorder())
    assert torch.equal(torch.as_tensor(alone.adversarials), torch.as_tensor(heard.adversarials))
    assert torch.equal(alone.forwards, heard.forwards)


def test_the_summary_leaves_out_what_is_not_finite() -> None:
    values = torch.tensor([1.0, math.nan, 3.0, math.inf, 2.0])
    step = Step(
        number=0,
        samples=torch.arange(5),
        loss=values,
        margin=values,
        distance=torch.full((5,), math.nan, dtype=torch.float64),
        success=torch.tensor([True, False, False, False, False]),
    )
    found = step.summary()
    assert found["loss"] == 2.0
    assert math.isnan(found["distance"])
    assert found["success"] == pytest.approx(0.2)
    assert "gradient_norm" not in found


def test_a_csv_file_begins_when_it_is_opened_and_holds_a_line_for_each_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    tracker = CsvTracker(path)
    assert not path.exists()
    with tracker:
        for step in steps_of():
            tracker.step(step)
    lines = list(csv.DictReader(path.open(encoding="utf-8")))
    with CsvTracker(path) as resumed:  # goes on at the end
        resumed.step(steps_of()[-1])
    lines = list(csv.DictReader(path.open(encoding="utf-8")))
    assert len(lines) == 7
    assert set(lines[0]) == set(CsvTracker.COLUMNS)
    assert lines[0]["samples"] == "8"
