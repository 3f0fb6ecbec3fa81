"""Where stages and restarts begin and end in the trace of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from advplug import Recipe, ThreatModel, evaluate, load
from advplug.attack import Attack
from advplug.data import Images
from advplug.evaluation import Evaluation, Row, model_job
from advplug.evaluation.chain import SLICE
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.report.traces import segments
from advplug.testing.linear import linear_model


def run_of(attack: Attack, *, epsilon: float, samples: int = 6, **others: Any) -> Evaluation:
    """One attack on samples in the order of their margins, the least last."""
    model = linear_model(5, (1, 4, 4)).float()
    x = torch.rand(samples, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    first, second = model(x).topk(2).values.unbind(1)
    x = x[(second - first).argsort()]
    recipes = [Recipe(name="it", attack=attack, restarts=others.pop("restarts", 1))]
    images = Images(x, model(x).argmax(1))
    return evaluate(model_job("m", model, images, ThreatModel("linf", epsilon), recipes, **others))


def row_of(attack: Attack, **others: Any) -> Row:
    return run_of(attack, **others).rows[0]


def test_restarts_of_a_fixed_number_of_steps() -> None:
    row = row_of(load("attack:pgd")(steps=4), epsilon=1e-4, restarts=3)
    assert row.arrays["trace"].shape == (3 * 5, 6)
    np.testing.assert_array_equal(row.arrays["evaluations"], np.broadcast_to([[5, 5, 5, 0]], (6, 1, 4)))


def test_a_restart_that_nothing_was_left_for_took_no_evaluations() -> None:
    row = row_of(load("attack:pgd")(steps=4), epsilon=1.0, restarts=3)
    counts = row.arrays["evaluations"][0, 0]
    assert counts[0] == len(row.arrays["trace"]) > 0
    assert counts[1:].tolist() == [0, 0, 0]


@pytest.mark.parametrize("sweep", [(), (1e-5,)])
def test_stages_one_after_the_other(tmp_path: Path, sweep: tuple[float, ...]) -> None:
    attack = load("attack:standard")(steps=3, num_targets=2, queries=20)
    row = row_of(attack, epsilon=1e-4, sweep=sweep, run_dir=tmp_path)
    counts = row.arrays["evaluations"]
    assert [name for name, _ in row.stages] == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert counts.shape == (6, 4, 2)
    assert counts[0].sum() == len(row.arrays["trace"])
    assert counts[0, :2, 0].tolist() == [4, 4]  # three steps and a last look, for both targets at once
    stored = RunDirectory(tmp_path).load().rows[0]
    np.testing.assert_array_equal(stored.arrays["evaluations"], counts)


def test_slices_that_end_apart_are_cut_apart() -> None:
    """The last few samples are attacked apart from the others, and take other numbers of evaluations."""
    attack = load("attack:standard")(steps=3, num_targets=2, queries=20)
    whole = run_of(attack, epsilon=0.05, samples=SLICE + 3)
    images = Images(torch.from_numpy(whole.inputs[:SLICE]), torch.from_numpy(whole.labels[:SLICE]))
    model = linear_model(5, (1, 4, 4)).float()
    part = evaluate(model_job("m", model, images, ThreatModel("linf", 0.05), [Recipe(name="it", attack=attack)]))
    counts = whole.rows[0].arrays["evaluations"]
    assert len(np.unique(counts.reshape(len(counts), -1), axis=0)) == 2
    for one, other in zip(segments(whole), segments(part), strict=True):
        assert one.stage == other.stage
        first = one.trace[: len(other.trace), :SLICE]
        np.testing.assert_array_equal(first, other.trace)
        assert np.isnan(one.trace[len(other.trace) :, :SLICE]).all()
