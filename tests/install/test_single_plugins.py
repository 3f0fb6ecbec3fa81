"""``pip install`` of one plugin brings the core and what that plugin builds on, and nothing else of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = {"advplug", *(path.parent.name for path in ROOT.glob("plugins/*/*/pyproject.toml"))}
BROUGHT = {
    "advplug": {"advplug"},
    "advplug-attack-pgd": {"advplug", "advplug-attack-pgd"},
    "advplug-adaptive-kwta": {
        "advplug",
        "advplug-adaptive-kwta",
        "advplug-attack-apgd",
        "advplug-attack-fab",
        "advplug-attack-pgd",
        "advplug-attack-square",
        "advplug-attack-standard",
        "advplug-data-cifar10",
        "advplug-data-mnist",
        "advplug-defense-kwta",
    },
    "advplug[all]": EVERYTHING,
}

pytestmark = pytest.mark.install
Install = Callable[..., Any]


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name == "advplug" or name.startswith("advplug-")}


@pytest.mark.parametrize("requirement", BROUGHT)
def test_it_brings_what_it_needs_and_nothing_else(requirement: str, install: Install) -> None:
    environment = install(requirement)
    installed = environment.distributions()
    assert ours(installed) == BROUGHT[requirement]
    peers = {"foolbox", "adversarial-robustness-toolbox"}
    assert installed & peers == (peers if "advplug-adaptive-kwta" in BROUGHT[requirement] else set())
    plugins = environment.json("list")["plugins"]
    assert {plugin["distribution"] for plugin in plugins} == BROUGHT[requirement] - {"advplug"}
    assert environment.json("doctor") == {"schema_version": 1, "problems": [], "blocked": []}
    assert f"0 problems, {len(plugins)} plugins ready" in environment.advplug("doctor")
    if requirement == "advplug":
        assert not installed & {"torch", "numpy"}


def test_an_attack_alone_evaluates_a_model(install: Install) -> None:
    environment = install("advplug-attack-pgd")
    rng = np.random.default_rng(0)
    images = rng.random((20, 1, 4, 4), dtype=np.float32)
    labels = (images.mean((1, 2, 3)) > 0.5).astype(np.int64)  # what the model answers
    np.savez(environment.home / "images.npz", x=images, y=labels)
    (environment.home / "bright.py").write_text(
        "import torch\n\n\nclass Bright(torch.nn.Module):\n    def forward(self, x):\n"
        "        mean = x.flatten(1).mean(1)\n        return torch.stack((1 - mean, mean), 1)\n"
    )
    found = environment.json("evaluate", "bright:Bright", "--data", "images.npz", "--threat", "linf:0.5")
    assert found["clean_accuracy"] == 1
    assert [row["robust_accuracy"] for row in found["rows"]] == [0] * len(found["rows"])
    assert found["rows"]


def test_a_case_alone_breaks_its_defense(install: Install) -> None:
    environment = install("advplug-adaptive-kwta")
    found = environment.json("break", "kwta", "--limit", "8", "--no-report")
    assert found["broken"]
    assert {row["library"] for row in found["rows"]} >= {"foolbox", "adversarial-robustness-toolbox", "advplug"}


@pytest.mark.parametrize("requirement", ["advplug-adaptive-kwta", "advplug[all]"])
def test_plain_pip_resolves_to_the_same(requirement: str, wheels: Path, tmp_path: Path) -> None:
    pytest.importorskip("pip")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    settings = ["--find-links", str(wheels), "-c", str(ROOT / "requirements" / "build.txt")]
    report = tmp_path / "report.json"
    subprocess.run([*command, *settings, "--report", str(report), requirement], check=True, cwd=tmp_path)
    names = {item["metadata"]["name"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]}
    assert ours(names) == BROUGHT[requirement]
