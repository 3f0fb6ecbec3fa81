"""A stored row belongs to a model that answers as it did then; another model's row is not read back."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advplug import DefendedModel, Recipe, ThreatModel, evaluate, load
from advplug.data import Images
from advplug.evaluation import model_job
from advplug.evaluation.storage.behaviour import alike, answers
from advplug.evaluation.storage.code import content_of, version_of
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.gradients import BPDA, EOT, Exact
from advplug.model import Decision
from advplug.testing.linear import linear_model


class Scaled(DefendedModel):
    """A linear model behind a factor that is no weight, and a flag that changes nothing but the declaration."""

    def __init__(self, factor: float = 1.0, nan: bool = False) -> None:
        super().__init__(3)
        self.linear, self.factor, self.nan = linear_model(3, (1, 4, 4)).float(), factor, nan

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.factor * self.linear(x)
        return scores


class Wary(Scaled):
    def decide(self, x: Tensor) -> Decision:
        labels = self(x).argmax(1)
        return Decision(labels, torch.ones_like(labels, dtype=torch.bool))


def job(model: nn.Module, folder: Path, **changes: Any) -> Any:
    x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    images = Images(x, Scaled()(x).argmax(1))
    recipe = Recipe(name="pgd", attack=load("attack:pgd")(steps=5), role="baseline")
    made = model_job("scaled", model, images, ThreatModel("linf", 0.1), [recipe], run_dir=folder)
    return replace(made, **changes)


def attacked(made: Any) -> bool:
    """Whether an evaluation runs the attack, instead of reading its row."""
    names: list[str] = []
    evaluate(made, watch=lambda name, *_: names.append(name))
    return bool(names)


def test_the_same_model_is_read_back(tmp_path: Path) -> None:
    assert attacked(job(Scaled(), tmp_path))
    assert not attacked(job(Scaled(), tmp_path))
    assert len(list((tmp_path / "behaviours").iterdir())) == 1


@pytest.mark.parametrize(
    ("model", "changes"),
    [(Scaled(1000.0), {}), (Scaled(1.01), {}), (Wary(), {}), (Scaled(), {"preset": "other"}), (Scaled(), {"seed": 1})],
    ids=["another factor", "a slightly other factor", "another capability", "another preset", "another seed"],
)
def test_another_model_is_attacked(tmp_path: Path, model: nn.Module, changes: dict[str, Any]) -> None:
    assert attacked(job(Scaled(), tmp_path))
    assert attacked(job(model, tmp_path, **changes))
    assert not attacked(job(model, tmp_path, **changes))
    assert not attacked(job(Scaled(), tmp_path)), "the first one's row is still there"


class Stood(Scaled):
    """A stand-in for its gradient that is ``factor`` times the linear model, which the scores are not."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / self.factor

    def surrogate(self, x: Tensor) -> Tensor:
        return super().forward(x)


def test_another_surrogate_is_attacked_through_where_gradients_go_through_it(tmp_path: Path) -> None:
    for gradient, again in ((EOT(2, of=BPDA()), True), (Exact(), False)):
        folder = tmp_path / str(again)
        (recipe,) = job(Stood(), folder).recipes
        recipes = (replace(recipe, gradient=gradient),)
        assert attacked(job(Stood(), folder, recipes=recipes))
        assert not attacked(job(Stood(), folder, recipes=recipes))
        assert attacked(job(Stood(-2.0), folder, recipes=recipes)) == again


class Rounded(Scaled):
    """Steps, with a gradient of 0 or straight through them: the answers are the same."""

    def __init__(self, straight: bool) -> None:
        super().__init__()
        self.straight = straight

    def steps(self, x: Tensor) -> Tensor:
        rounded = (20 * x).round() / 20
        return x + (rounded - x).detach() if self.straight else rounded + 0 * x

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.steps(x))


class RoundedInside(Rounded):
    """Its ``features`` alone are rounded."""

    def forward(self, x: Tensor) -> Tensor:
        return Scaled.forward(self, x)

    def features(self, x: Tensor) -> Tensor:
        return self.steps(x).flatten(1)


@pytest.mark.parametrize("kind", [Rounded, RoundedInside])
def test_a_model_with_another_gradient_is_attacked(tmp_path: Path, kind: type[Rounded]) -> None:
    assert attacked(job(kind(straight=False), tmp_path))
    assert not attacked(job(kind(straight=False), tmp_path))
    assert attacked(job(kind(straight=True), tmp_path))
    assert evaluate(job(kind(straight=True), tmp_path)).rows == evaluate(job(kind(straight=True), tmp_path)).rows


class WithoutGradient(Scaled):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class OfAnotherKind(Scaled):
    def features(self, x: Tensor, layer: str) -> Tensor:
        """No capability, but a method of that name."""
        return x


@pytest.mark.parametrize("model", [WithoutGradient(), OfAnotherKind()], ids=["no gradient", "an error"])
def test_models_without_a_gradient_have_a_record(tmp_path: Path, model: nn.Module) -> None:
    recipes = (Recipe(name="square", attack=load("attack:square")(queries=5), role="baseline"),)
    assert attacked(job(model, tmp_path, recipes=recipes))
    assert not attacked(job(model, tmp_path, recipes=recipes))


class Drawing(Scaled):
    stochastic = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.01 * torch.randn_like(x))


def test_gradients_of_a_random_model_are_those_of_one_seed(tmp_path: Path) -> None:
    first, again = answers(job(Drawing(), tmp_path)), answers(job(Drawing(), tmp_path))
    assert np.array_equal(first["gradient"], again["gradient"])


class SwitchedOff(Scaled):
    """One more class, whose logit is a large negative number."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__(factor)
        self.num_classes += 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((super().forward(x), x.new_full((len(x), 1), -1e6)), 1)


def test_a_large_logit_hides_no_edit(tmp_path: Path) -> None:
    assert attacked(job(SwitchedOff(), tmp_path))
    assert not attacked(job(SwitchedOff(), tmp_path))
    assert attacked(job(SwitchedOff(1.5), tmp_path))


def test_a_row_of_other_clean_answers_is_computed_again(tmp_path: Path) -> None:
    made = job(Scaled(), tmp_path)
    evaluate(made)
    (figures,) = (tmp_path / "rows").glob("*.json")
    directory = RunDirectory(tmp_path)
    row = directory.load_row(figures.stem)
    assert row is not None
    correct = row.arrays["correct"].copy()
    correct[0] = not correct[0]
    directory.save_row(figures.stem, replace(row, arrays={**row.arrays, "correct": correct}))
    assert attacked(made)
    assert not attacked(made)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_models_of_every_dtype_and_with_counters_have_a_record(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 3)).to(dtype).eval()
    assert attacked(job(model, tmp_path))
    assert not attacked(job(model, tmp_path))
    with torch.no_grad():
        model[2].weight.mul_(1.5)  # type: ignore[union-attr, operator]
    assert attacked(job(model, tmp_path))


def test_quantised_models_and_those_with_sparse_buffers_have_a_record(tmp_path: Path) -> None:
    def made(factor: float) -> list[nn.Module]:
        plain = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
        plain.load_state_dict({"1.weight": factor * torch.eye(3, 16), "1.bias": torch.zeros(3)})
        quantised = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear})
        plain.register_buffer("sparse", factor * torch.eye(3).to_sparse())
        return [plain, quantised]

    recipes = (Recipe(name="square", attack=load("attack:square")(queries=5), role="baseline"),)
    for number, (model, other) in enumerate(zip(made(1.0), made(2.0), strict=True)):
        folder = tmp_path / str(number)
        assert attacked(job(model, folder, recipes=recipes))
        assert not attacked(job(model, folder, recipes=recipes))
        assert attacked(job(other, folder, recipes=recipes))


def test_rounding_makes_no_other_model(tmp_path: Path) -> None:
    assert attacked(job(Scaled(), tmp_path))
    assert not attacked(job(Scaled(1 + 1e-6), tmp_path))
    first = answers(job(Scaled(), tmp_path))
    assert alike(first, {**first, "scores": first["scores"] * (1 + 1e-6)})
    assert not alike(first, {**first, "scores": first["scores"][:, :2]})
    assert not alike(first, {**first, "accepted": ~first["accepted"]})
    labels = first["labels"].repeat(20)
    few, many = labels.copy(), labels.copy()
    few[:2] += 1
    many[:3] += 1
    assert alike({**first, "labels": labels}, {**first, "labels": few}), "2 of 240 lie on the boundary"
    assert not alike({**first, "labels": labels}, {**first, "labels": many})
    assert alike(first, {**first, "gradient": first["gradient"] * (1 + 1e-4)})
    assert not alike(first, {**first, "gradient": first["gradient"] * 1.1})
    undefined = np.full_like(first["scores"], np.nan)
    assert alike({**first, "scores": undefined}, {**first, "scores": undefined}), "probes may be beyond a model"


def test_a_stored_success_that_fails_today_is_attacked_again(tmp_path: Path) -> None:
    made = job(Scaled(), tmp_path)
    found = evaluate(made)
    assert found.rows[0].arrays["success"].any()
    (figures,) = (tmp_path / "rows").glob("*.json")
    directory = RunDirectory(tmp_path)
    row = directory.load_row(figures.stem)
    assert row is not None
    directory.save_row(figures.stem, replace(row, arrays={**row.arrays, "adversarials": made.images.inputs.numpy()}))
    assert attacked(made)
    assert not attacked(made)


def test_a_damaged_record_of_answers_is_nobodys(tmp_path: Path) -> None:
    assert attacked(job(Scaled(), tmp_path))
    (behaviour,) = (tmp_path / "behaviours").iterdir()
    content = behaviour.read_bytes()
    behaviour.write_bytes(content[:20])
    with pytest.warns(UserWarning, match="is damaged"):
        assert not attacked(job(Scaled(), tmp_path)), "the same answers have the same name, and are written again"
    assert behaviour.read_bytes() == content


def test_an_attack_of_another_version_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert version_of("advplug-attack-pgd") == version("advplug-attack-pgd")
    assert version_of("of-a-notebook") == ""
    assert attacked(job(Scaled(), tmp_path))
    monkeypatch.setattr("advplug.evaluation.storage.behaviour.version_of", lambda distribution: "9.9")
    assert attacked(job(Scaled(), tmp_path))


def test_an_expanded_tensor_reads_like_its_copy() -> None:
    one = torch.tensor(9.0)
    for expanded in (one.expand(2), one.expand(2, 3), one.expand(2, 3).t()):
        assert content_of(expanded) == content_of(expanded.contiguous())
    assert content_of(one.expand(2)) != content_of(one.expand(3))


class Picky(Scaled):
    """Turns inputs away whose largest score is above a threshold that no clean input reaches."""

    thresholds = torch.tensor([9.0])

    def detector_scores(self, x: Tensor) -> Tensor:
        return self(x).abs().amax(1, keepdim=True)

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), (self.detector_scores(x) <= self.thresholds).all(1))


def test_a_threshold_that_no_clean_input_reaches_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        clean = float(Picky().detector_scores(job(Scaled(), tmp_path).images.inputs).max())
    monkeypatch.setattr(Picky, "thresholds", torch.tensor([clean + 1e-3]))
    strict = evaluate(job(Picky(), tmp_path / "run", threat=ThreatModel("linf", 0.5)))
    monkeypatch.setattr(Picky, "thresholds", torch.tensor([1e3]))
    loose = evaluate(job(Picky(), tmp_path / "run", threat=ThreatModel("linf", 0.5)))
    fresh = evaluate(job(Picky(), tmp_path / "fresh", threat=ThreatModel("linf", 0.5)))
    assert strict.rows[0].robust_accuracy > loose.rows[0].robust_accuracy == fresh.rows[0].robust_accuracy
