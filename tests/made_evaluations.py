"""Evaluations without a model: records made up for tests of the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from advplug.evaluation import Evaluation, Row
from advplug.records.finding import Finding

DRAWS = {
    "draws": 16, "mean": 0.5, "majority": 0.4, "worst": 0.1,
    "mean_interval": [0.4, 0.6], "majority_interval": [0.3, 0.5], "worst_interval": [0.0, 0.2],
}  # fmt: skip
REJECTION: dict[str, Any] = {
    "clean": 30, "held_out": False, "false_positives": 0.1, "false_positives_interval": [0.03, 0.26], "joint": 0.75,
    "success_at": {"5%": 0.5, "50%": 0.25}, "roc": [[0.0, 0.0], [0.1, 0.6], [1.0, 1.0]],
}  # fmt: skip
"""What a row says of a random model, and of a detector."""


def arrays(samples: int = 12, **others: Any) -> dict[str, Any]:
    """Per-sample records of an attack that broke the first half."""
    success = np.arange(samples) < samples // 2
    rng = np.random.default_rng(0)
    return {
        "success": success,
        "distance": np.where(success, 0.3, np.nan),
        "target": np.where(success, 1, -1),
        "predicted": np.where(success, 1, 0),
        "forwards": np.arange(1, samples + 1),
        "trace": rng.normal(size=(20, samples)).astype(np.float32),
        "adversarials": np.clip(inputs(samples) + 0.3 * success[:, None, None, None], 0, 1).astype(np.float32),
        **others,
    }


def inputs(samples: int = 12) -> Any:
    return np.random.default_rng(1).random((samples, 1, 6, 6), dtype=np.float32)


def row(name: str, role: str, accuracy: float, **fields: Any) -> Row:
    defaults: dict[str, Any] = {
        "library": "foolbox" if role == "baseline" else "advplug",
        "detected": None,
        "queries": 12.5,
        "gradients": 3.0,
        "seconds": 1.25,
        "published": 0.5,
        "source": f"Source of {name}",
        "components": {"attack": f"{name}(steps=3)", "loss": "Margin()"},
        "shrunk": ((0.0, 1.0), (0.3, accuracy)),
        "arrays": arrays(),
    }
    return Row(name=name, role=role, robust_accuracy=accuracy, **{**defaults, **fields})


def evaluation(folder: Path) -> Evaluation:
    """A case of a weak and a strong attack on twelve images, with records but without files."""
    return Evaluation(
        case="toy",
        preset="mnist",
        threat="linf:0.3",
        samples=12,
        clean_accuracy=1.0,
        clean_error_rate=None,
        false_positives=None,
        rows=(row("weak", "baseline", 0.75), row("strong", "adaptive", 0.0, sweep=((0.1, 0.5), (0.3, 0.0)))),
        findings=(Finding(name="masking", status="warn", message="The loss is flat.", advice="Change the loss."),),
        claim="It resists.",
        lesson="It does not.",
        environment={
            "seed": 7,
            "versions": {"torch": "9.9"},
            "plugins": {"attack:x": {"distribution": "d", "version": "1"}},
        },
        inputs=inputs(),
        labels=np.zeros(12, np.int64),
        class_names=("zero", "one"),
        run_dir=folder,
    )


def deployed(made: Evaluation, **fields: Any) -> Evaluation:
    """``made`` on a random model that rejects some inputs."""
    rows = tuple(replace(one, randomised=DRAWS, rejection=REJECTION) for one in made.rows)
    return replace(made, rows=rows, false_positives=0.1, clean_error_rate=0.1, **fields)
