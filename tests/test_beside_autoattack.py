"""On networks that ship, ``evaluate(..., "standard")`` never leaves more samples than AutoAttack of torchattacks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torchattacks")
for plugin in ("adversarial_training", "kwta", "logit_pairing"):
    pytest.importorskip(f"advplug_defense_{plugin}")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from autoattack import compare, shipped  # noqa: E402

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


def test_the_benchmark_finds_networks_that_decide_by_their_scores_alone() -> None:
    found = shipped()
    assert set(NETWORKS) <= set(found)
    assert "odds:mnist" not in found  # rejects
    assert "mixup-inference:mnist" not in found  # random
    assert "sparse-fourier:mnist" not in found  # no budget
