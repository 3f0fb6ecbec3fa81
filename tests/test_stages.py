"""Attacks of several stages, what a run prepares, and images of the attacker's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import eagerpy as ep
import pytest
import torch
from torch import Tensor, nn

from advplug.adaptive import Recipe
from advplug.api import run
from advplug.attack import Attack, Stage
from advplug.data import Images
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem, make_problem
from advplug.engine.stages import run_attack, run_cascade
from advplug.engine.task import Task
from advplug.errors import InvalidInput, NonFiniteLogits
from advplug.evaluation import evaluate, model_job
from advplug.evaluation.jobs import set_apart
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.losses import LogitMatching, Margin
from advplug.numerics.tensors import wrap
from advplug.report.summary import remarks
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)


class OneStep(Attack):
    """A share of the budget against the gradient."""

    def __init__(self, *, share: float = 1.0) -> None:
        self.share = share

    def run(self, task: Task) -> None:
        task.evaluate(task.project(task.inputs - self.share * LINF_EPSILON * task.gradient(task.inputs).sign()))


LINF_EPSILON = 0.1


class Ladder(Attack):
    """Longer and longer steps."""

    fixed_loss: ClassVar[bool] = True

    def __init__(self, *, shares: tuple[float, ...] = (0.1, 0.3, 1.0)) -> None:
        self.shares = shares

    def run(self, task: Task) -> None:
        raise AssertionError("the engine runs the stages")

    def stages(self, problem: Problem) -> Sequence[Stage]:
        return [Stage(f"{share:.0%}", OneStep(share=share), replace(problem, loss=Margin())) for share in self.shares]


class Learned(Attack):
    """Towards the mean of the attacker's own images of another answer, asked of the model beforehand."""

    needs_auxiliary = True
    prepared = 0

    def prepare(self, problem: Problem, gateway: Gateway) -> Any:
        type(self).prepared += 1
        assert problem.auxiliary is not None
        answers = gateway.scores(problem.auxiliary.inputs).argmax(1)
        assert answers.unique().tolist() == [0, 1, 2]
        return torch.stack([problem.auxiliary.inputs[answers == answer].mean(0) for answer in range(3)])

    def run(self, task: Task) -> None:
        for shift in (1, 2):
            aim: Tensor = task.prepared[(task.labels.raw + shift) % 3]
            task.evaluate(task.project(task.inputs + 10 * (wrap(aim) - task.inputs)))


def case(count: int = 30, seed: int = 1) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(3, (10,), seed=2).float()
    x = torch.rand(count, 10, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model, x, model(x).argmax(1)


def own(count: int = 60) -> Images:
    _, x, y = case(count, seed=2)
    return Images(x, y)


def test_the_result_tells_which_stage_succeeded_and_charges_all() -> None:
    model, x, y = case()
    result = run_attack(Ladder(), make_problem(model, x, y, LINF))
    alone = [
        run_attack(OneStep(share=share), make_problem(model, x, y, LINF, loss=Margin())) for share in (0.1, 0.3, 1.0)
    ]
    for number, one in enumerate(alone):
        reached = (result.stage >= 0) & (result.stage <= number)
        assert torch.equal(reached, torch.stack([each.success for each in alone[: number + 1]]).any(0))
        assert dict(result.accuracy_after_stages())[result.stages[number]] == pytest.approx(
            float((~reached).double().mean())
        )
        assert one.stages == ()
        assert (one.stage == -1).all()
    assert torch.equal(result.forwards, 2 * (1 + torch.where(result.stage < 0, 2, result.stage)))
    assert result.trace.shape == (6, 30)


@pytest.mark.parametrize("restarts", [(1, 3), (3, 1)])
def test_stages_may_have_different_numbers_of_restarts(restarts: tuple[int, int]) -> None:
    class Two(Attack):
        fixed_loss = True

        def run(self, task: Task) -> None:
            raise AssertionError("the engine runs the stages")

        def stages(self, problem: Problem) -> list[Stage]:
            options = [replace(problem.options, restarts=count) for count in restarts]
            return [Stage(f"{one.restarts}", OneStep(share=0.1), replace(problem, options=one)) for one in options]

    model = linear_model(5, (1, 4, 4)).float()
    x = torch.rand(6, 1, 4, 4)
    with torch.no_grad():
        labels = model(x).argmax(1)
    result = run_attack(Two(), make_problem(model, x, labels, ThreatModel("linf", 1e-5)))
    assert result.evaluations.shape == (6, 2, 4)
    assert ((result.evaluations > 0).sum(2) >= torch.tensor(restarts)).all()
    assert int(result.evaluations.sum()) == len(result.trace) * 6


def test_a_loss_that_a_cascade_would_ignore_is_refused() -> None:
    model, x, y = case()
    with pytest.raises(InvalidInput, match="Ladder brings its own losses: name no other"):
        run(Ladder(), model, x, y, LINF, loss=Margin())


def test_accuracy_after_each_stage_is_in_the_table_and_survives_a_resume(tmp_path: Path) -> None:
    model, x, y = case()
    job = model_job(
        "toy", model, Images(x, y), LINF, [Recipe(name="ladder", attack=Ladder())], run_dir=tmp_path / "run"
    )
    first, again = evaluate(job), evaluate(job)
    assert first.rows[0].stages == again.rows[0].stages == RunDirectory(tmp_path / "run").load().rows[0].stages
    assert [name for name, _ in first.rows[0].stages] == ["10%", "30%", "100%"]
    assert any(text.startswith("ladder, accuracy after each stage: 10% ") for text in remarks(first))
    assert first.to_json()["rows"][0]["stages"][-1][1] == first.rows[0].robust_accuracy


def test_a_run_prepares_once_and_shares_the_queries() -> None:
    model, x, y = case()
    Learned.prepared = 0
    result = run(Learned(), model, x, y, LINF, auxiliary=own(), batch_size=7, early_end=False)
    assert Learned.prepared == 1
    assert result.success.any()
    assert (result.forwards == 2 + 60 // 30).all()


def test_nothing_is_prepared_for_samples_that_need_no_attack() -> None:
    model, x, y = case()
    Learned.prepared = 0
    run(Learned(), model, x, (y + 1) % 3, LINF, auxiliary=own())
    assert Learned.prepared == 0


def test_an_attack_that_needs_images_says_so_before_any_compute() -> None:
    model, x, y = case()
    with pytest.raises(InvalidInput, match=r"Learned needs images that the attacker owns.*auxiliary=Images"):
        run(Learned(), model, x, y, LINF)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (Images(torch.rand(4, 9), torch.zeros(4, dtype=torch.int64)), "have shape .9,., those attacked .10,."),
        (Images(torch.rand(4, 10) + 1, torch.zeros(4, dtype=torch.int64)), "auxiliary images: inputs span"),
        (Images(torch.rand(0, 10), torch.zeros(0, dtype=torch.int64)), "auxiliary images: inputs are empty"),
        (Images(torch.rand(4, 10), torch.full((4,), 3)), "auxiliary images: labels span 3 to 3"),
        (torch.rand(4, 10), "pass advplug.Images"),
    ],
)
def test_bad_images_of_ones_own(images: Any, message: str) -> None:
    model, x, y = case()
    with pytest.raises(InvalidInput, match=message):
        run(Learned(), model, x, y, LINF, auxiliary=images)


def test_the_gateway_counts_scores_and_refuses_nan() -> None:
    model, x, y = case()
    problem = make_problem(model, x, y, LINF)
    gateway = Gateway(problem.model, x[:1], max_rows=4)
    with torch.no_grad():
        assert torch.allclose(gateway.scores(x), model(x))
    assert gateway.asked == 30
    with pytest.raises(NonFiniteLogits, match="NaN or infinite logits"):
        gateway.scores(torch.full((1, 10), torch.nan))


def test_the_images_beyond_the_limit_are_the_attackers() -> None:
    images = own(10)
    attacked, rest = set_apart(images, 4, "learned")
    assert torch.equal(attacked.inputs, images.inputs[:4])
    assert torch.equal(rest.inputs, images.inputs[4:])
    for limit in (None, 10):
        with pytest.raises(InvalidInput, match="all 10 are attacked: lower --limit"):
            set_apart(images, limit, "learned")


def test_the_best_of_several_points_is_judged() -> None:
    model, x, y = case()
    seen: list[tuple[ep.Tensor, ep.Tensor]] = []

    class Several(Attack):
        def run(self, task: Task) -> None:
            points = ep.stack([task.inputs, task.project(task.inputs + 0.05), task.project(task.inputs - 0.05)])
            seen.append(task.evaluate_best(points))

    result = run(Several(), model, x, y, LINF, loss=Margin(), memory_budget=1, early_end=False)
    at, loss = torch.cat([point.raw for point, _ in seen]), torch.cat([loss.raw for _, loss in seen])
    with torch.no_grad():
        margins = torch.stack(
            [_margin(model(point), y) for point in (x, (x + 0.05).clamp(0, 1), (x - 0.05).clamp(0, 1))]
        )
    assert torch.allclose(loss, margins.amin(0), atol=1e-5)
    assert torch.equal(result.success, margins.amin(0) < 0)
    assert torch.allclose(_margin(model(at), y), loss, atol=1e-5)
    assert (result.forwards == 3).all()


def _margin(z: Tensor, y: Tensor) -> Tensor:
    others = z.scatter(1, y[:, None], -torch.inf).amax(1)
    return z.gather(1, y[:, None]).squeeze(1) - others


def test_survivors_keep_their_own_references() -> None:
    model, x, y = case()
    seen: list[Tensor] = []

    class Watching(Attack):
        def run(self, task: Task) -> None:
            seen.append(task.evaluate(task.inputs).loss.raw)

    first = (OneStep(), make_problem(model, x, y, LINF, loss=Margin()))
    second = (Watching(), make_problem(model, x, y, LINF, loss=LogitMatching(model(x).detach())))
    broken, _ = run_cascade([first, second])
    assert broken.success.any()
    assert torch.allclose(seen[0], torch.zeros_like(seen[0]), atol=1e-6), "matched with the reference of another sample"
    assert len(seen[0]) == int((~broken.success).sum())
