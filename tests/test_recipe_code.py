"""A stored row belongs to the code that ran then: of the attack, of what it holds, and of the recipe's own parts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from advplug import Recipe, ThreatModel, evaluate, load
from advplug.data import Images
from advplug.evaluation import model_job
from advplug.evaluation.storage.code import digest_of
from advplug.testing.linear import linear_model

ATTACK = """
from dataclasses import dataclass
from advplug import Attack
from advplug.gradients import Exact
from advplug.losses import CrossEntropy, Loss
import its_helpers
from its_helpers import moved

@dataclass(frozen=True, kw_only=True)
class Mine(Attack):
    share: float = 0.5
    times = 1
    calls = []
    def run(self, task):
        self.calls.append(task.inputs.shape)
        for _ in range(self.times):
            task.evaluate(task.project(moved(task.inputs) + its_helpers.SHIFT))

@dataclass(frozen=True)
class MyLoss(Loss):
    def __call__(self, view):
        return 1.0 * CrossEntropy()(view)

class MyGradient(Exact):
    def __call__(self, *given):
        return super().__call__(*given)
"""

HELPERS = """
SHIFT = 0.0

def moved(x):
    return x + 0.0
"""

Write = Callable[..., ModuleType]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the attack and its helpers with a text replaced, imports them afresh, returns the attack's module."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = ("its_helpers", "its_attack")

    def written(old: str = "", new: str = "") -> ModuleType:
        for name, text in zip(names, (HELPERS, ATTACK), strict=True):
            (tmp_path / f"{name}.py").write_text(text.replace(old, new) if old else text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module(names[1])

    return written


def attacked(folder: Path, **recipe: Any) -> bool:
    """Whether an evaluation runs the attack, instead of reading its row."""
    model = linear_model(3, (1, 4, 4)).float()
    x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    given = {"name": "mine", "attack": load("attack:pgd")(steps=2), "role": "baseline", **recipe}
    job = model_job(
        "linear", model, Images(x, model(x).argmax(1)), ThreatModel("linf", 0.1), [Recipe(**given)], run_dir=folder
    )
    names: list[str] = []
    evaluate(job, watch=lambda name, *_: names.append(name))
    return bool(names)


EDITS = {
    "the attack": ("task.inputs)", "task.inputs * 0.5)"),
    "a constant of its class": ("times = 1", "times = 2"),
    "a function of another file": ("x + 0.0", "x + 0.1"),
    "a constant of another file": ("SHIFT = 0.0", "SHIFT = 0.1"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside another"])
def test_an_edited_attack_is_run_again(tmp_path: Path, write: Write, edit: tuple[str, str], inside: bool) -> None:
    def made(module: ModuleType) -> Any:
        return module.Mine().repeat(2) if inside else module.Mine()

    assert attacked(tmp_path / "run", attack=made(write()))
    assert not attacked(tmp_path / "run", attack=made(write()))
    assert attacked(tmp_path / "run", attack=made(write(*edit)))
    assert not attacked(tmp_path / "run", attack=made(write())), "the first one's row is still there"


def test_an_edited_loss_or_gradient_is_attacked_with_again(tmp_path: Path, write: Write) -> None:
    for part, edit in (("loss", ("1.0 *", "2.0 *")), ("gradient", ("(*given)", "(*given[:])"))):
        name = {"loss": "MyLoss", "gradient": "MyGradient"}[part]
        folder = tmp_path / part
        assert attacked(folder, **{part: getattr(write(), name)()})
        assert not attacked(folder, **{part: getattr(write(), name)()})
        assert attacked(folder, **{part: getattr(write(*edit), name)()})


def test_code_without_a_file_counts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def cell(text: str) -> str:
        notebook = ModuleType("a_notebook")
        monkeypatch.setitem(sys.modules, "a_notebook", notebook)
        exec(compile(text, "<cell>", "exec", dont_inherit=True), vars(notebook))
        return digest_of(notebook.Mine())

    write()
    first = cell(ATTACK)
    assert cell(ATTACK) == first
    assert cell(ATTACK.replace("task.inputs)", "task.inputs * 0.5)")) != first
    assert cell(ATTACK.replace("times = 1", "times = 2")) != first
    assert cell(f"{ATTACK}\nunused = 1\n") == first


def test_a_file_that_is_newer_than_the_loaded_code_counts(tmp_path: Path, write: Write) -> None:
    module = write()
    first = digest_of(module.Mine())
    (tmp_path / "its_attack.py").write_text(ATTACK.replace("times = 1", "times = 2"))
    stale, fresh = digest_of(module.Mine()), digest_of(write("times = 1", "times = 2").Mine())
    assert len({first, stale, fresh}) == 3


def test_stages_of_a_suite_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = load("attack:standard")(steps=2, queries=10)
    assert attacked(tmp_path, attack=suite)
    assert not attacked(tmp_path, attack=suite)
    fab = load("attack:fab")
    monkeypatch.setattr(fab, "init", lambda self, task, init=fab.init: init(self, task))
    assert attacked(tmp_path, attack=suite)


def test_what_a_recipe_is_run_on_counts() -> None:
    models = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Dropout(0.1), torch.nn.Dropout(0.2)]
    assert len({digest_of(model) for model in models}) == 4
    assert digest_of(models[0].train()) == digest_of(models[0].eval())


def test_the_version_of_another_library_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("foolbox")
    attack = load("attack:foolbox:FGSM")()
    first = digest_of(attack)
    monkeypatch.setattr(
        "advplug.evaluation.storage.code.metadata.version", lambda name: "9.9" if name == "foolbox" else version(name)
    )
    assert digest_of(attack) != first


def test_code_of_the_core_is_that_of_its_version() -> None:
    one, other = Recipe(name="a", attack=load("attack:pgd")()), Recipe(name="b", attack=load("attack:pgd")())
    assert digest_of(one.attack, one.gradient) == digest_of(other.attack, replace(other, restarts=2).gradient)
