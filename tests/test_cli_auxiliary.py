"""``advplug evaluate`` with images of the attacker's own, and with targets by number."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from advplug import AttackSpec, hookimpl
from advplug.attack import Attack
from advplug.cli import run
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.task import Task
from advplug.intake.user_images import in_drawn_order, read_images
from advplug.plugins.manager import Manager, using

MODULE = """
import torch

class Columns(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1)
"""


class Nosy(Attack):
    """Notes whose images it was given and where it was steered to."""

    needs_auxiliary: ClassVar[bool] = True
    seen: ClassVar[list[Any]] = []

    def prepare(self, problem: Problem, gateway: Gateway) -> None:
        assert problem.auxiliary is not None
        self.seen.append(sorted(problem.auxiliary.inputs.flatten(1).amax(1).tolist()))

    def run(self, task: Task) -> None:
        self.seen.append(None if task.targets is None else task.targets.numpy().tolist())
        task.evaluate(task.inputs)


class Plugin:
    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        return [AttackSpec(name="nosy", factory="nosy_parts:Nosy", summary="s", reference="r")]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder with a model of four classes, six images of it, two more elsewhere, and the attack as a plugin."""
    module = ModuleType("nosy_parts")
    module.__dict__["Nosy"] = Nosy
    monkeypatch.setitem(sys.modules, "nosy_parts", module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "columns.py").write_text(MODULE)
    _save(tmp_path / "data.npz", np.linspace(0.1, 0.6, 6))
    _save(tmp_path / "own.npz", np.linspace(0.8, 0.9, 2))
    Nosy.seen.clear()
    with using(Manager(plugins=[Plugin()])):
        yield
    sys.modules.pop("columns", None)


def _save(path: Path, light: Any) -> None:
    """Images of one row of four pixels, the brightest of which says the class; 0.05 and 0.02 are next."""
    x = np.zeros((len(light), 1, 1, 4), dtype=np.float32)
    x[..., 0] = light[:, None, None]
    x[..., 2], x[..., 3] = 0.02, 0.05
    np.savez(path, x=x, y=np.zeros(len(light), dtype=int))


USUAL = ["columns:Columns", "--no-report", "--data", "data.npz", "--threat", "linf:0.01", "--attacks", "nosy"]


def evaluate(*arguments: str) -> int:
    return run(["evaluate", *USUAL, *arguments])


def left(limit: int) -> list[float]:
    """The brightness of the images that are not among the ``limit`` drawn ones."""
    images = in_drawn_order(read_images(Path("data.npz")), limit, seed=0)[limit:]
    return list(images.inputs[:, 0, 0, 0].tolist())


def test_what_the_limit_leaves_is_the_attackers() -> None:
    assert evaluate("--limit", "4") == 0
    assert len(left(4)) == 2
    assert Nosy.seen[0] == pytest.approx(left(4))


def test_other_images_may_be_named() -> None:
    assert evaluate("--limit", "4", "--auxiliary", "own.npz") == 0
    assert Nosy.seen[0] == pytest.approx([0.8, 0.9])


def test_they_are_rescaled_with_the_images(tmp_path: Path) -> None:
    with np.load("data.npz") as archive:
        x, y = archive["x"], archive["y"]
    np.savez(tmp_path / "data.npz", x=(255 * x).round().astype(np.uint8), y=y)
    assert evaluate("--limit", "4", "--bounds", "-1,3") == 0
    assert Nosy.seen[0] == pytest.approx([4 * light - 1 for light in left(4)])


def test_they_lie_in_the_bounds_as_the_images_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--limit", "4", "--auxiliary", "own.npz", "--bounds", "0,0.7") == 2
    assert "--auxiliary: x ranges over [0, 0.9], outside the bounds [0, 0.7]" in capsys.readouterr().err
    assert Nosy.seen == []


@pytest.mark.parametrize("limit", ["0", "6", "100"])
def test_without_any_left_the_error_names_both_ways_out(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--limit", limit) == 2
    message = capsys.readouterr().err
    assert "all 6 are attacked" in message
    assert "--limit" in message
    assert "--auxiliary" in message
    assert Nosy.seen == []


def test_other_images_of_the_attacker_make_another_run(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate("--limit", "4", "--out", "run")
    evaluate("--limit", "4", "--out", "run")
    assert "read from the run directory" in capsys.readouterr().err
    asked = len(Nosy.seen)
    evaluate("--limit", "4", "--out", "run", "--auxiliary", "own.npz")
    assert len(Nosy.seen) > asked


def test_targets_by_number_are_the_likeliest(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--limit", "4", "--targets", "2", "--json") == 0
    assert Nosy.seen[1:] == [[3] * 4, [2] * 4]
    assert json.loads(capsys.readouterr().out)["rows"][0]["components"]["num_targets"] == "2"


@pytest.mark.parametrize("text", ["0", "-1", "some", "1.5"])
def test_targets_are_each_or_a_number(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--limit", "4", "--targets", text) == 2
    assert f"--targets {text}: write each, or a number of classes" in capsys.readouterr().err


def test_a_configuration_file_takes_a_number_of_targets_too(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("targets = 1\nlimit = 4\n")
    assert evaluate("--config", "run.toml") == 0
    assert Nosy.seen[1:] == [[3] * 4]
