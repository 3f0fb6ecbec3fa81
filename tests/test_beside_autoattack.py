"""On networks that ship, ``evaluate(..., "standard")`` never leaves more samples than AutoAttack of torchattacks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torchattacks")
for plugin in ("adversarial_training", "kwta", "logit_pairing"):
    pytest.importorskip(f"advplug_defense_{plugin}")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from autoattack import DEFENSES, compare  # noqa: E402

from advplug.plugins.manager import default_manager  # noqa: E402

NETWORKS = (
    "adversarial-training:mnist",
    "adversarial-training:mnist-l2",
    "logit-pairing:mnist-lsq",
    "kwta:mnist",
)


@pytest.mark.parametrize("name", NETWORKS)
def test_ours_never_leaves_more(name: str) -> None:
    found = compare(name, 12)
    assert found.samples == 12
    assert found.clean > found.theirs, "their suite breaks some, or the comparison says nothing"
    assert found.ours <= found.theirs


def test_the_benchmark_has_every_shipped_network_of_digits_that_decides_by_its_scores_alone() -> None:
    there = set()
    for spec in default_manager().specs("defense"):
        defense = spec.load()()
        for name, preset in defense.presets.items():
            if preset.data == "mnist" and preset.weights is not None:
                model = defense.build(name)
                if not (model.stochastic or model.rejects):
                    there.add(f"{spec.name}:{name}")
    assert set(DEFENSES) == there
