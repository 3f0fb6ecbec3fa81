"""The benchmarks of the search: their models answer, their records outlive a stop, and their rule counts right."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from advplug import Decision, DefendedModel, load, losses
from advplug.errors import InvalidInput
from advplug.records.job import Job

for plugin in ("adversarial_training", "kwta"):
    pytest.importorskip(f"advplug_defense_{plugin}")
for package in ("scipy", "PIL"):
    pytest.importorskip(package)

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A function that imports a module of the benchmarks as the scripts do."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def test_the_losses_of_a_case_are_hidden_with_it(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = module("search_cases")
    matching = type("Matching", (losses.Margin,), {})
    words = dict.fromkeys(cases.OWN_LOSSES["odds"], matching)
    assert set(words) <= set(cases.loss_words())
    monkeypatch.setattr(cases, "loss_words", lambda: words)
    monkeypatch.setattr(cases, "default_manager", lambda: SimpleNamespace(specs=lambda kind: ()))
    trial = SimpleNamespace(sentence="pgd on logit-matching, gradient exact")
    monkeypatch.setattr(cases.advplug, "search", lambda *given, progress: SimpleNamespace(trials=[trial]))
    with pytest.raises(RuntimeError, match="odds:mnist used what is hidden: logit-matching"):
        cases.search_without("odds:mnist", 1)
    with pytest.raises(InvalidInput, match="is hidden"):
        matching()(None)


def test_a_third_of_the_models_is_held_out(module: Any) -> None:
    models = module("search").MODELS
    share = sum(case.held_out for case in models.values()) / len(models)
    assert 0.3 < share < 0.4


QUICK = (
    "noise and dropout inside", "quantised weights and activations", "nearest neighbours in pixels", "random backward",
    "JPEG by Pillow", "under no_grad", "one-hot answers", "random crops", "floor inside", "trees over features",
    "held out: median by SciPy", "held out: flipped backward", "held out: scripted, rounds inside", "held out: ranks",
    "held out: memory of features", "held out: total variation", "held out: vote over masks", "held out: bytes",
    "held out: rounded spectrum", "held out: look-up table for pixels",
)  # fmt: skip
"""Those that need no training."""


@pytest.mark.parametrize("name", QUICK)
def test_a_model_is_right_about_clean_digits(module: Any, name: str) -> None:
    digits = load("data:mnist")().load("shipped", 50)
    model = module("search").MODELS[name].build().eval()
    with torch.no_grad():
        scores = model(digits.inputs)
    assert scores.shape == (50, 10)
    assert (scores.argmax(1) == digits.labels).double().mean() >= 0.7


def test_detectors_accept_most_clean_digits(module: Any) -> None:
    defenses, digits = module("strange_defenses"), load("data:mnist")().load("shipped", 100)
    for kind in (defenses.Energy, defenses.Squeezed):
        detector: DefendedModel = kind(defenses.plain())
        with torch.no_grad():
            decision: Decision = detector.decide(digits.inputs)
        assert 0.85 < decision.accepted.double().mean() < 1


def test_a_trained_part_is_the_same_from_its_file(module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    training: ModuleType = module("strange_training")
    monkeypatch.setattr(training.tempfile, "gettempdir", lambda: str(tmp_path))
    calls: list[int] = []

    def objective(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        loss: torch.Tensor = training.classify(net, x, y)
        return loss

    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    first = training.trained("linear", build, objective, 1)
    told = len(calls)
    again = training.trained("linear", build, objective, 1)
    inputs, labels = training.training_digits()
    assert told == len(calls) == 9000 // 128
    assert (first(inputs).argmax(1) == labels).double().mean() > 0.8
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), again.parameters(), strict=True))
    assert [file.name for file in tmp_path.rglob("*.safetensors")] == ["linear-1.safetensors"]


def test_what_was_measured_outlives_a_stop_and_an_error_is_a_line(module: Any, tmp_path: Path) -> None:
    records = module("search_record").Records(tmp_path / "lines.jsonl")
    records.add("vote", "baselines", lambda: {"clean": 1.0, "pgd": None, "standard": 0.5})

    def fail() -> dict[str, Any]:
        raise ValueError("no gradient\nand more")

    records.add("vote", "search", fail)
    again = module("search_record").Records(tmp_path / "lines.jsonl")
    assert again.has("vote", "baselines")
    assert not again.has("vote", "ablation")
    assert again.of("vote")["search error"] == "ValueError: no gradient"
    assert again.of("vote")["standard"] == 0.5
    assert "| vote | 100 | - | 50 | - | - | - | - | error: ValueError: no gradient |" in module("search_record").table(
        again, ["vote"]
    )


def test_a_table_marks_few_samples_and_lines_of_an_earlier_version(module: Any) -> None:
    record = module("search_record")
    assert record.label({"name": "vote", "samples": record.SAMPLES}) == "vote"
    assert record.label({"name": "vote", "samples": 20, "earlier": True}) == "vote (20 samples) †"


def test_a_preset_without_a_budget_cannot_be_searched(module: Any) -> None:
    found = module("search_cases").presets()
    assert {
        "distillation:mnist",
        "feature-squeezing:mnist-linf",
        "generative:mnist",
        "adversarial-training:mnist",
    } <= set(found)
    assert not any(
        name.startswith(("retraining-detector:", "sparse-fourier:", "temporal-dependency:")) for name in found
    )
    assert "feature-squeezing:mnist" not in found  # the smallest perturbation under L2


def test_a_preset_is_within_two_points_or_named(module: Any, tmp_path: Path) -> None:
    cases = module("search_cases")
    records = module("search_record").Records(tmp_path / "lines.jsonl")
    shares = {
        "ecoc:a": (0.06, 0.02, 0.04),
        "kwta:b": (0.3, 0.0, 0.1),
        "mmc:c": (0.0, 0.0, 0.02),
        "odds:d": (0.1, 0.0, 0.0),
    }
    for name, (standard, by_hand, search) in shares.items():
        found = {"standard": standard, "by_hand": by_hand, "search": search}
        records.add(name, "all", lambda found=found: found)
    records.add("ecoc:unfinished", "search", lambda: {"standard": 0.5, "search": 0.5})
    assert cases.agreement(records) == (
        "within 2 points of the attack by hand: 3 of 4 (75 %), not kwta:b; above standard: mmc:c"
    )


def test_by_hand_is_what_the_strongest_recipe_of_a_case_leaves(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("advplug_adaptive_mmc")
    cases, jobs = module("search_cases"), []

    def evaluate(job: Job) -> SimpleNamespace:
        jobs.append(job)
        left = dict.fromkeys((recipe.name for recipe in job.recipes), 0.5) | {"PGD-100, cross-entropy": 0.1}
        rows = [SimpleNamespace(name=name, robust_accuracy=share, seconds=1.0) for name, share in left.items()]
        return SimpleNamespace(rows=rows)

    monkeypatch.setattr(cases, "evaluate", evaluate)
    found = cases.by_hand("mmc:mnist", 7)
    assert (found["by_hand"], found["recipe"]) == (0.1, "PGD-100, cross-entropy")
    (job,) = jobs
    assert len(job.images) == 7
    assert {recipe.role for recipe in job.recipes} == {"intermediate", "adaptive"}


def test_the_rule_counts_defenses_below_half_of_their_clean_accuracy(module: Any, tmp_path: Path) -> None:
    record = module("search_record")
    records = record.Records(tmp_path / "lines.jsonl")
    shares = {"falls": (None, 0.6, 0.3), "stands": (0.9, 0.5, 0.4), "falls to all": (0.3, 0.2, 0.1)}
    for name, (pgd, standard, search) in shares.items():
        found = {"clean": 0.8, "pgd": pgd, "standard": standard, "search": search}
        records.add(name, "both", lambda found=found: found)
    assert record.halved(records, shares) == "1 of 3 (33 %) | 1 of 3 (33 %) | 2 of 3 (67 %)"


def test_a_case_that_is_hidden_stays_hidden_from_the_process_that_searches(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("advplug_adaptive_ecoc")
    cases = module("search_cases")
    monkeypatch.setenv("ADVPLUG_DISABLE", "other")
    with cases.hidden("advplug-adaptive-ecoc"):
        assert cases.os.environ["ADVPLUG_DISABLE"] == "other,advplug-adaptive-ecoc"
    assert cases.os.environ["ADVPLUG_DISABLE"] == "other"
    with pytest.raises(RuntimeError, match="ecoc is not hidden"):
        cases.search_without("ecoc:mnist", 1)
