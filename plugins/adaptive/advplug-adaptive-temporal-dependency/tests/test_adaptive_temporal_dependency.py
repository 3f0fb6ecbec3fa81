"""The attack at a known optimum, the loss and the targets, and the break on a few shipped phrases."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from advplug_adaptive_temporal_dependency import CTCOfBeginnings, EverySymbolChanged, ShrinkingBound
from advplug_defense_temporal_dependency import TemporalDependencyDefense

import advplug
from advplug.errors import InvalidInput
from advplug.evaluation import case_job, evaluate
from advplug.report.page import render
from advplug.transcription import NONE, beginnings, ctc, lengths, packed, unpacked

LIMIT = 4


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize("targeted", [False, True])
def test_the_nearest_point_of_a_linear_model(bounds: tuple[float, float], targeted: bool) -> None:
    low, high = bounds
    torch.manual_seed(0)
    model = torch.nn.Linear(20, 2).double()
    x = low + (high - low) * (0.4 + 0.2 * torch.rand(8, 20, dtype=torch.float64))
    with torch.no_grad():
        gap, slope = model(x).diff(dim=1).squeeze(1), float(model.weight.diff(dim=0).abs().sum())
    y = (gap > 0).long()
    threat = advplug.ThreatModel("linf", None, bounds, targeted=targeted)
    attack = ShrinkingBound(steps=200, levels=None, bound=0.2)
    found = advplug.run(attack, model, x, y, threat, targets=1 - y if targeted else None)
    optimum = gap.abs() / slope
    assert found.success.all()
    assert (found.distance >= optimum * (1 - 1e-6)).all()
    assert (found.distance <= optimum / attack.shrink * 1.05).all()


def test_points_are_16_bit_sound() -> None:
    torch.manual_seed(0)
    model, x = torch.nn.Linear(20, 3), (torch.rand(5, 20) * 2**14).round() / 2**15
    found = advplug.run(
        ShrinkingBound(steps=30), model, x, model(x).argmax(1), advplug.ThreatModel("linf", None, (-1, 1))
    )
    assert found.success.any()
    assert torch.equal(found.adversarials * 2**15, (found.adversarials * 2**15).round())


def test_another_symbol_at_every_place() -> None:
    labels = packed(torch.randint(0, 10, (200, 5), generator=torch.Generator().manual_seed(0)), 10)
    labels = torch.cat((labels, packed(torch.tensor([[3, NONE], [4, 4]]), 10)))
    targets = EverySymbolChanged(10)(labels)
    assert torch.equal(lengths(targets, 10), lengths(labels, 10))
    same = unpacked(targets, 10) == unpacked(labels, 10)
    assert not same[unpacked(labels, 10) != NONE].any()
    assert torch.equal(torch.cat([EverySymbolChanged(10)(one) for one in labels.split(1)]), targets)
    assert len(targets.unique()) > 190


def test_the_loss_is_the_sum_over_the_beginnings() -> None:
    job = case_job("temporal-dependency", limit=2)
    model, x = job.model, job.images.inputs
    t = EverySymbolChanged(10)(job.images.labels)
    with torch.no_grad():
        expected = ctc(model, model(x), t)
        for count, share in ((1, 0.25), (2, 0.5), (3, 0.75)):  # a digit in each quarter
            scores = model(x[:, : int(share * x.shape[1])])
            assert lengths(model.answers(scores), 10).tolist() == [count, count]
            expected = expected + ctc(model, scores, beginnings(t, torch.tensor(count), 10))
    found = advplug.run(
        ShrinkingBound(steps=1), model, x, job.images.labels, job.threat, targets=t, loss=CTCOfBeginnings()
    )
    assert found.trace[0].tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_the_loss_needs_the_detector_and_targets() -> None:
    job = case_job("temporal-dependency", limit=1)
    recogniser = TemporalDependencyDefense().build("digits").recogniser
    x, y = job.images.inputs, job.images.labels
    with pytest.raises(InvalidInput, match="is for TemporalDependency"):
        advplug.run(ShrinkingBound(steps=1), recogniser, x, y, job.threat, targets=y + 1, loss=CTCOfBeginnings())
    with pytest.raises(InvalidInput, match="needs targets"):
        advplug.run(ShrinkingBound(steps=1), job.model, x, y, job.threat, loss=CTCOfBeginnings())


def test_the_break() -> None:
    job = case_job("temporal-dependency", limit=LIMIT)
    recipes = [replace(one, attack=replace(one.attack, steps=60)) for one in job.recipes]
    evaluation = evaluate(replace(job, recipes=(recipes[0], recipes[1], recipes[-1])))
    baseline, control, adaptive = evaluation.rows
    assert evaluation.clean_accuracy == 1
    assert baseline.robust_accuracy >= 0.75
    assert control.robust_accuracy == 0
    assert adaptive.robust_accuracy == 0
    assert adaptive.median_distance is not None
    assert control.median_distance is not None
    assert adaptive.median_distance <= 2 * control.median_distance
    wanted = EverySymbolChanged(10)(job.images.labels)
    with torch.no_grad():
        decision = job.model.decide(torch.from_numpy(adaptive.arrays["adversarials"]))
    assert torch.equal(decision.labels, wanted)
    assert decision.accepted.all()
    page = render(evaluation)
    assert page.count("<audio") == 6
    assert "Beginnings that read otherwise" in page
