"""An evaluation as one card, in the form of an entry of RobustBench's leaderboard.

There an entry is a JSON file ``model_info/DATASET/THREAT/NAME.json``: texts for paper and model, accuracies as texts in
per cent. What a run does not know stays empty, for the authors to fill in.
"""

from __future__ import annotations

from typing import Any

from advplug.records.evaluation import Evaluation
from advplug.report import together
from advplug.report.diagnoses import status_of
from advplug.report.summary import role_of, strongest, subject

_THREATS = {"linf": "Linf", "l2": "L2", "l1": "L1", "l0": "L0"}
_UNRELIABLE = ("G1", "G6", "G8")
"""Diagnostics of what the leaderboard asks of a model: gradients, the same answer twice, no win without gradients."""


def card(evaluation: Evaluation) -> dict[str, Any]:
    """The entry; ``advplug`` holds what the leaderboard has no name for.

    ``external`` is the leaderboard's field for evaluations other than AutoAttack's: what all attacks of the run leave
    together. ``autoattack_acc`` stays empty, since AutoAttack itself was not run. ``unreliable`` is None where none of
    the diagnostics that would tell was run.
    """
    left = robust_accuracy(evaluation)
    statuses = [status_of(evaluation, number) for number in _UNRELIABLE]
    known = [status in ("warn", "fail") for status in statuses if status != "not-run"]
    return {
        "link": "",
        "name": "",
        "authors": "",
        "additional_data": None,
        "number_forward_passes": 1 if evaluation.clean_error_rate is None else None,
        "dataset": _dataset(evaluation),
        "venue": "",
        "architecture": "",
        "eps": _epsilon(evaluation),
        "clean_acc": _percent(evaluation.clean_accuracy),
        "reported": "",
        "autoattack_acc": "",
        "external": "" if left is None else _percent(left),
        "footnote": f"{evaluation.samples} samples.",
        "unreliable": any(known) if known else None,
        "advplug": {
            "model": subject(evaluation),
            "threat": _THREATS.get(evaluation.threat.partition(":")[0], ""),
            "threat_model": evaluation.threat,
            "samples": evaluation.samples,
            "seed": evaluation.environment.get("seed"),
            "attacks": [
                {"name": row.name, "library": row.library, "role": role_of(row, evaluation),
                 "robust_acc": _percent(row.robust_accuracy)}
                for row in evaluation.rows
            ],
            "version": dict(evaluation.environment.get("versions", {})).get("advplug", ""),
        },
    }  # fmt: skip


def robust_accuracy(evaluation: Evaluation) -> float | None:
    """What all attacks leave together, or the strongest where there are no records of single samples."""
    left, best = together.accuracy(evaluation), strongest(evaluation)
    return left if left is not None or best is None else best.robust_accuracy


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _epsilon(evaluation: Evaluation) -> str:
    """The budget as the leaderboard writes it, ``8/255`` or ``0.5``; "" for minimum norm."""
    if evaluation.epsilon is None:
        return ""
    levels = evaluation.epsilon * 255
    whole = evaluation.threat.startswith("linf") and round(levels) > 0 and abs(levels - round(levels)) < 1e-4
    return f"{round(levels)}/255" if whole else f"{evaluation.epsilon:.6g}"


def _dataset(evaluation: Evaluation) -> str:
    """The data plugin, "" for a user's own data."""
    plugins = evaluation.environment.get("plugins", {})
    return next((key.partition(":")[2] for key in plugins if key.startswith("data:")), "")
