"""What the source of a plugin tells is what its import tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advplug import load
from advplug.cli import _words
from advplug.cli._parameters import parameters_of
from advplug.criteria import Criterion
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.plugins import syntax
from advplug.plugins.manager import default_manager
from advplug.plugins.source import parameters_in_source, presets_in_source
from advplug.spelling.words import component_of, first_parameter, words_of

OWN = [spec for spec in default_manager().specs() if not spec.bridged]

PROBE = """
import contextlib, io, json, sys
from advplug.cli import run
with contextlib.redirect_stdout(io.StringIO()) as out:
    code = run(sys.argv[1:])
heavy = [name for name in ("torch", "eagerpy", "foolbox", "art") if name in sys.modules]
print(json.dumps({"code": code, "heavy": heavy, "out": out.getvalue()}))
"""


def probed(*words: str) -> dict[str, Any]:
    """Exit code, stdout and the heavy modules that a command imported in a process of its own."""
    answer = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("spec", OWN, ids=lambda spec: spec.key)
def test_parameters_and_presets_are_those_of_the_import(spec: Any) -> None:
    factory = load(spec.key)
    found = parameters_in_source(spec.factory)
    assert found == parameters_of(factory)
    assert list(found or {}) == list(parameters_of(factory))
    assert presets_in_source(spec.factory) == getattr(factory, "presets", None)


@pytest.mark.parametrize(
    "words",
    [
        ["show", "losses"],
        ["show", "gradients"],
        ["show", "mmc"],
        ["show", "pgd"],
        ["show", "kwta:cifar10"],
        ["show", "foolbox:LinfPGD"],
        ["show", "mlflow"],
        ["list"],
    ],
    ids=" ".join,
)
def test_list_and_show_import_neither_torch_nor_a_library(words: list[str]) -> None:
    """``show mmc`` took 9 to 37 s, because it imported torch."""
    found = probed(*words)
    assert (found["code"], found["heavy"]) == (0, [])


@pytest.mark.parametrize(
    ("kind", "base"), [("losses", Loss), ("gradients", GradientEstimator), ("criteria", Criterion)]
)
def test_words_are_those_of_the_import(kind: str, base: type[Any]) -> None:
    pages = {page["name"]: page for page in _words._pages(kind)}
    words = {word: component_of(base, word) for word in words_of(base)}
    assert list(pages) == list(words)
    for word, made in words.items():
        assert made is not None
        assert pages[word]["parameters"] == parameters_of(made)
        assert pages[word]["first"] == first_parameter(word, made)
        assert pages[word]["summary"]


def test_show_of_a_defense_has_its_presets_without_torch() -> None:
    out = probed("show", "kwta")["out"]
    assert "preset cifar10: small network, standard training (data:cifar10, linf:8/255, weights shipped)" in out
    assert (
        "preset paper: ResNet-18 of the paper, standard training (data:cifar10, linf:8/255, no weights shipped)" in out
    )


def test_what_a_library_makes_at_run_time_is_said_to_take_an_import() -> None:
    found = probed("show", "foolbox:LinfPGD")
    assert "for its parameters: advplug show --full attack:foolbox:LinfPGD" in found["out"]
    full = probed("show", "foolbox:LinfPGD", "--full")
    assert "parameter steps: int = 40" in full["out"]
    assert "torch" in full["heavy"]


@pytest.fixture
def written(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Modules in the working directory, of which none is imported."""
    monkeypatch.syspath_prepend(str(folder.path))
    syntax.module_of.cache_clear()

    def write(**modules: str) -> None:
        for name, text in modules.items():
            Path(f"{name}.py").write_text(text, encoding="utf-8")

    return write


def test_bases_constants_and_fields_are_followed(written: Callable[..., None]) -> None:
    written(
        base_parts="""
from dataclasses import dataclass, field
from typing import ClassVar
import torch
LIMIT = 8 / 255

@dataclass
class Base:
    kind: ClassVar[str] = "x"
    a: int
    b: float = LIMIT
    hidden: int = field(default=3, init=False)
""",
        own_parts="""
import math
from dataclasses import dataclass, field
from base_parts import LIMIT as MOST, Base

@dataclass(kw_only=True)
class Own(Base):
    b: float = 2 * MOST
    c: list[int] = field(default_factory=list)
    d: float = -math.inf
    e: object = max(1, 2)
""",
    )
    found = parameters_in_source("own_parts:Own")
    assert found is not None
    assert {name: facts["default"] for name, facts in found.items()} == {
        "a": None, "b": 16 / 255, "c": "<factory>", "d": float("-inf"), "e": "max(1, 2)",
    }  # fmt: skip
    assert found["a"] == {"annotation": "int", "default": None, "required": True}
    assert "base_parts" not in sys.modules


@pytest.mark.parametrize(
    "text",
    [
        "def made(): ...\nOwn = made()",
        "from torch.nn import Module\nclass Own(Module): ...",
        "class Own(elsewhere.Base): ...",
        "class Own(Missing): ...",
        "class Own(",
    ],
)
def test_what_the_source_does_not_tell_is_none(written: Callable[..., None], text: str) -> None:
    written(own_parts=text)
    assert parameters_in_source("own_parts:Own") is None
    assert presets_in_source("own_parts:Own") is None
    assert parameters_in_source("no_such_module:Own") is None


def test_presets_that_need_more_than_a_threat_model_are_not_run(written: Callable[..., None]) -> None:
    written(
        helper_parts="raise RuntimeError('imported')",
        own_parts="""
from helper_parts import made
print("run")

class Own:
    presets = {"mnist": made()}
""",
    )
    assert presets_in_source("own_parts:Own") is None
    assert "helper_parts" not in sys.modules
