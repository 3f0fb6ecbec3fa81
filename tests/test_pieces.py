"""The unit of loss is one stage on one slice: what a run has found so far is stored, and read back alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advplug import Attack, Recipe, ThreatModel, load
from advplug.attack import Stage
from advplug.data import Images
from advplug.engine.problem import Problem
from advplug.engine.task import Task
from advplug.errors import InvalidInput
from advplug.evaluation import evaluate, model_job
from advplug.evaluation.chain import SLICE, chains_of
from advplug.evaluation.storage.piece import Piece, joined
from advplug.evaluation.worker import Worker
from advplug.records import Evaluation, Job
from advplug.testing.linear import linear_model

COUNT = 3 * SLICE


@dataclass(frozen=True, kw_only=True)
class TwoStages(Attack):
    """PGD of two steps, then of five."""

    def run(self, task: Task) -> None:
        raise NotImplementedError

    def stages(self, problem: Problem) -> Sequence[Stage]:
        pgd = load("attack:pgd")
        return [Stage("short", pgd(steps=2), problem), Stage("long", pgd(steps=5), problem)]


class Watched(nn.Module):
    """A linear model that counts its passes with a gradient and is interrupted at one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear_model(3, (1, 4, 4)).float()
        self.steps, self.last = 0, -1

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and len(x) > 64:  # an attack, not a look at the model
            self.steps += 1
            if self.steps == self.last:
                raise KeyboardInterrupt
        logits: Tensor = self.inner(x)
        return logits


def job_of(model: nn.Module, folder: Path | None, *attacks: Attack) -> Job:
    """The job of ``attacks`` on more samples than two slices hold, every third labelled wrong."""
    x = torch.rand(COUNT, 1, 4, 4, generator=torch.Generator().manual_seed(0)).to(next(model.parameters()))
    with torch.no_grad():
        labels = model(x).argmax(1)
    labels[::3] = (labels[::3] + 1) % 3
    recipes = [Recipe(name=f"a{number}", attack=attack, role="baseline") for number, attack in enumerate(attacks)]
    return model_job("linear", model, Images(x, labels), ThreatModel("linf", 0.01), recipes, run_dir=folder)


def same(one: Evaluation, other: Evaluation) -> bool:
    """Whether every figure but the time, and every array, is the same to the last bit."""
    figures = [[{**row.figures(), "seconds": 0} for row in each.rows] for each in (one, other)]
    pairs = zip(one.rows, other.rows, strict=True)
    arrays = [np.array_equal(a.arrays[name], b.arrays[name], equal_nan=True) for a, b in pairs for name in a.arrays]
    return figures[0] == figures[1] and all(arrays) and one.findings == other.findings


def test_an_interrupted_run_goes_on_within_the_row(tmp_path: Path) -> None:
    model = Watched()
    whole = evaluate(job_of(model, tmp_path / "whole", TwoStages()))
    total = model.steps
    for last in (3, 6, total // 2, total - 2):
        folder = tmp_path / str(last)
        model.steps, model.last = 0, last
        with pytest.raises(KeyboardInterrupt):
            evaluate(job_of(model, folder, TwoStages()))
        model.steps, model.last = 0, -1
        again = evaluate(job_of(model, folder, TwoStages()))
        assert same(again, whole), last
        assert model.steps <= total - last + 5, "at most one stage of one slice is repeated"
        assert not list((folder / "pieces").iterdir()), "a finished row needs them no more"


def test_slices_give_what_all_samples_at_once_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_model(3, (1, 4, 4)).double()
    attacks = TwoStages(), load("attack:fgm")(), load("attack:square")(queries=20)
    job = replace(job_of(model, None, *attacks), sweep=(0.05,))
    cut = evaluate(job)
    monkeypatch.setattr("advplug.evaluation.chain.SLICE", COUNT)
    monkeypatch.setattr(chains_of, "__defaults__", (COUNT,))
    whole = evaluate(job)
    for one, other in zip(cut.rows, whole.rows, strict=True):
        assert (one.robust_accuracy, one.queries, one.stages) == (other.robust_accuracy, other.queries, other.stages)
        assert dict(one.sweep) == pytest.approx(dict(other.sweep), abs=1e-12)
        assert one.queries_at == other.queries_at
        assert sum(passes for _, passes in one.queries_at) == pytest.approx(one.queries)
        assert one.shrunk == other.shrunk
        np.testing.assert_allclose(one.arrays["adversarials"], other.arrays["adversarials"], atol=1e-12)
        np.testing.assert_array_equal(one.arrays["stage"], other.arrays["stage"])


def test_an_attack_that_learns_from_all_samples_is_not_cut() -> None:
    model = linear_model(3, (1, 4, 4)).float()
    job = job_of(model, None, load("attack:pgd")(), load("attack:substitute")())
    problem = Worker(job).problem(next(chains_of(0, _problem_of(job), job.recipes[0].attack, COUNT)))
    lengths = [[c.stop - c.start for c in chains_of(0, problem, recipe.attack)] for recipe in job.recipes]
    assert lengths == [[SLICE, SLICE, SLICE], [COUNT]]


def _problem_of(job: Job) -> Problem:
    from advplug.evaluation.problems import problem_of

    return problem_of(job, job.recipes[0])


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    """The finished pieces of one row."""
    job = job_of(linear_model(3, (1, 4, 4)).float(), None, TwoStages())
    worker, found = Worker(job), []
    for chain in chains_of(0, _problem_of(job), job.recipes[0].attack):
        piece = None
        while piece is None or not piece.done:
            piece = worker.advance(chain, None if piece is None else piece.to_bytes())
        found.append(piece)
    return found


def test_a_piece_comes_back_as_it_was_written(pieces: list[Piece]) -> None:
    content = pieces[0].to_bytes()
    again = Piece.from_bytes(content)
    assert again.to_bytes() == content
    assert again.result.stages == ("short", "long")
    assert torch.equal(again.result.adversarials, pieces[0].result.adversarials)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        lambda content: content.replace(b'\\"done\\": true', b'\\"done\\":false'),
        lambda content: b"",
        lambda content: b"\xff" * 4000,
    ],
)
def test_a_damaged_piece_is_an_error(pieces: list[Piece], damage: Callable[[bytes], bytes]) -> None:
    content = pieces[0].to_bytes()
    assert damage(content) != content
    with pytest.raises(InvalidInput):
        Piece.from_bytes(damage(content))


def test_stages_of_pieces_are_joined_by_name(pieces: list[Piece]) -> None:
    first, second, third = pieces
    left_out = replace(
        second.result,
        stages=("long",),
        left_out=("short",),
        stage=second.result.stage.clamp(max=0),
        evaluations=second.result.evaluations[:, :1],
    )
    whole = joined([first, replace(second, result=left_out), third])
    assert whole.result.stages == ("short", "long")
    assert whole.result.left_out == ("short",)
    broken = whole.result.stage[SLICE : 2 * SLICE][second.result.success]
    assert (broken == 1).all(), "number 0 of that slice is number 1 of the whole"
    assert torch.equal(whole.result.stage[:SLICE], first.result.stage)


def test_a_stage_that_only_a_shorter_slice_ran_is_kept(pieces: list[Piece]) -> None:
    first, second, third = pieces
    longer = replace(
        first.result,
        stages=("short", "long", "more"),
        stage=torch.full_like(first.result.stage, -1),
        evaluations=first.result.evaluations[:, [0, 1, 1]],
    )
    renamed = replace(second.result, stages=("instead", "long"))
    whole = joined([replace(first, result=longer), replace(second, result=renamed), third]).result
    assert whole.stages == ("short", "instead", "long", "more"), "in the order in which each slice ran them"
    broken = whole.stage[SLICE : 2 * SLICE]
    assert torch.equal(broken == 1, second.result.stage == 0)
    assert bool((broken == 1).any())
    assert bool((whole.evaluations[SLICE : 2 * SLICE, 1] == second.result.evaluations[:, 0]).all())


@pytest.mark.parametrize("damaged", ["cut", "of another slice"])
def test_only_a_damaged_piece_is_computed_again(tmp_path: Path, damaged: str) -> None:
    model = Watched()
    whole = evaluate(job_of(model, tmp_path / "whole", TwoStages()))
    total = model.steps
    model.steps, model.last = 0, total - 2  # in the last slice
    with pytest.raises(KeyboardInterrupt):
        evaluate(job_of(model, tmp_path / "run", TwoStages()))
    first, *_, last = sorted((tmp_path / "run" / "pieces").iterdir())
    first.write_bytes(first.read_bytes()[:-5] if damaged == "cut" else last.read_bytes())
    model.steps, model.last = 0, -1
    lines: list[str] = []
    again = evaluate(job_of(model, tmp_path / "run", TwoStages()), tell=lines.append)
    assert same(again, whole)
    assert len(lines) == 1
    assert "a piece of the row a0 is damaged" in lines[0]
    assert model.steps <= total - 7 + 2, "of three slices one is read back whole, and half of another"
