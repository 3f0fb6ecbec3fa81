"""A plugin of two attacks, a data set and a defense, and a user's own module, for tests of ``advplug evaluate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from advplug import AttackSpec, DatasetSpec, DefenseSpec, hookimpl
from advplug.attack import Attack
from advplug.cli import run
from advplug.data import Dataset, Images
from advplug.defense import Defense, Preset
from advplug.engine.task import Task
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.numerics.tensors import raw, wrap
from advplug.plugins.manager import Manager, using
from advplug.threat import ThreatModel

MODULE = """
import torch

class Light(torch.nn.Module):
    def forward(self, x):
        light = x.flatten(1).mean(1) - 0.5
        return torch.stack((-light, light), 1)

class Steps(Light):
    def forward(self, x):
        return super().forward((x * 256).round() / 256 + 0 * x)

class Broken(torch.nn.Module):
    def forward(self, x):
        return torch.full((len(x), 2), torch.nan)

ready = Light()
number = 3

def build():
    return Light()

def needs(argument):
    return Light()

def fails():
    raise RuntimeError("no licence")
"""


class Ramp(Dataset):
    splits = ("fit", "test")
    class_names = ("dark", "light")

    def load(self, split: str, limit: int | None = None) -> Images:
        inputs = torch.linspace(0, 1, 10 if split == "test" else 4).view(-1, 1, 1, 1)
        return Images(inputs, (inputs.flatten() > 0.5).long(), self.class_names, split)[:limit]


class Step(Attack):
    """One step of ``length`` budgets, without a random start."""

    made: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, *, length: float = 1.0, signed: bool = True, label: str | None = None) -> None:
        if length < 0:
            raise InvalidInput(f"length is {length}: give a positive number")
        self.length, self.signed, self.label = length, signed, label
        Step.made.append(self.parameters())

    def run(self, task: Task) -> None:
        move = raw(task.gradient(task.inputs)).sign() * raw(task.epsilon).view(-1, 1, 1, 1) * self.length
        task.evaluate(task.project(wrap(raw(task.inputs) - move)))


class Walk(Attack):
    """Goes ever further along the sign of the gradient, budget or not."""

    minimum_norm = True

    def run(self, task: Task) -> None:
        g = task.gradient(task.inputs).sign()
        for length in range(1, 13):
            task.evaluate(task.clip(task.inputs - 0.05 * length * g))


class Bright(DefendedModel):
    def forward(self, x: Tensor) -> Tensor:
        light = x.flatten(1).mean(1) - 0.5
        return torch.stack((-light, light), 1)

    def surrogate(self, x: Tensor) -> Tensor:
        return self(x)


class BrightDefense(Defense):
    presets: ClassVar = {
        "first": Preset(summary="s", data="ramp", threat=ThreatModel("linf", 0.3), weights=None),
        "second": Preset(summary="s", data="ramp", threat=ThreatModel("linf", 0.1), weights=None, test_split="fit"),
    }

    def network(self, preset: str) -> DefendedModel:
        return Bright(2)

    def build(self, preset: str, device: Any = "cpu", weights: Path | None = None) -> DefendedModel:
        self.preset(preset)
        return self.network(preset)

    def train(self, *args: Any, **options: Any) -> DefendedModel:
        raise NotImplementedError


class Plugin:
    @hookimpl
    def advplug_attacks(self) -> list[AttackSpec]:
        classes = {"pgd": "Step", "step": "Step", "walk": "Walk"}
        return [
            AttackSpec(name=name, factory=f"fake_parts:{factory}", summary="s", reference="r")
            for name, factory in classes.items()
        ]

    @hookimpl
    def advplug_datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec(name="ramp", factory="fake_parts:Ramp", summary="s", reference="r")]

    @hookimpl
    def advplug_defenses(self) -> list[DefenseSpec]:
        return [DefenseSpec(name="bright", factory="fake_parts:BrightDefense", summary="s", reference="r")]


class Answer(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        assert self.exit_code == 0, self.stderr
        return json.loads(self.stdout)


Evaluate = Callable[..., Answer]


@contextmanager
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Evaluate]:
    """Runs ``advplug evaluate`` in a folder that holds the user's module and data."""
    module = ModuleType("fake_parts")
    module.__dict__.update({"Step": Step, "Walk": Walk, "Ramp": Ramp, "BrightDefense": BrightDefense})
    monkeypatch.setitem(sys.modules, "fake_parts", module)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "mine"
    own.mkdir()
    (own / "net.py").write_text(MODULE)
    (own / "lacks.py").write_text("import surely_not_installed_anywhere")
    (own / "wrong.py").write_text("1 / 0")
    x = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    np.savez(tmp_path / "data.npz", x=x, y=(x.ravel() > 0.5).astype(int))
    Step.made.clear()

    def call(*arguments: object) -> Answer:
        code = run(["evaluate", "--no-report", *map(str, arguments)])
        streams = capsys.readouterr()
        return Answer(code, streams.out, streams.err)

    with using(Manager(plugins=[Plugin()])):
        yield call
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]
