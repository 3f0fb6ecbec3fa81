"""What a detector is worth: false positives on clean data, its ROC curve, and success at fixed false positives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.evaluation.diagnostics.intervals import wilson

RATES = (0.05, 0.5)
"""False positive rates of SR@5 and SR@50 (Bryniarski et al. 2022)."""

_HELD_OUT = 1000  # clean images, at most
_POINTS = 20  # of the curve


def at_fixed_rates(problem: Problem, result: AttackResult) -> Mapping[str, Any]:
    """Figures of the detector on the adversarials of one attack; empty for a model that rejects nothing.

    ``false_positives`` is measured on ``clean`` images that were not attacked, where the attacker owns some
    (``held_out``), else on those attacked; with ``false_positives_interval``. ``joint`` is the share of attacked
    samples whose adversarial is misclassified and accepted. If the model offers ``detector_scores``, ``success_at`` has
    for 5 and 50 percent the share that is misclassified and passes a threshold of so many false positives; ``roc`` has
    pairs (false positive rate, share of adversarials rejected). The attack aimed at the deployed threshold, so that
    success at another one is a lower bound.
    """
    if not problem.model.rejects:
        return {}
    held_out = problem.auxiliary is not None
    clean = problem.inputs if problem.auxiliary is None else problem.auxiliary.inputs
    clean = clean[:_HELD_OUT].to(problem.inputs)
    attacked = result.correct
    with problem.gateway() as gateway:
        rejected = ~gateway.decide(gateway.cast(clean)).accepted
        figures: dict[str, Any] = {
            "clean": len(clean),
            "held_out": held_out,
            "false_positives": float(rejected.double().mean()),
            "joint": float(result.success[attacked].double().mean()) if bool(attacked.any()) else 0.0,
        }
        figures["false_positives_interval"] = list(wilson(figures["false_positives"], len(clean)))
        if problem.model.capabilities.detector_scores is None or not bool(attacked.any()):
            return figures
        below = _excess(gateway, problem, gateway.cast(clean))
        x = gateway.cast(result.adversarials)
        scores = _excess(gateway, problem, x)
        wrong = _classes(gateway, x) != problem.labels
    found = wrong & attacked
    thresholds = {rate: torch.quantile(below, 1 - rate) for rate in RATES}
    figures["success_at"] = {
        f"{rate:.0%}": float((found & (scores <= threshold))[attacked].double().mean())
        for rate, threshold in thresholds.items()
    }
    figures["roc"] = _curve(below, scores[found]) if bool(found.any()) else []
    return figures


def _curve(clean: Tensor, adversarial: Tensor) -> list[list[float]]:
    """Pairs (false positive rate, share of adversarials rejected), ascending."""
    levels = torch.quantile(clean, torch.linspace(1, 0, _POINTS + 1, dtype=clean.dtype, device=clean.device))
    rates = [[float((values > level).double().mean()) for values in (clean, adversarial)] for level in levels]
    return [[0.0, 0.0], *rates, [1.0, 1.0]]


def _excess(gateway: Gateway, problem: Problem, x: Tensor) -> Tensor:
    """By how much the largest score of each input is above its threshold, float64 (n,)."""
    offered = problem.model.capabilities
    assert offered.detector_scores is not None
    function = offered.detector_scores
    with torch.no_grad():
        scores = torch.cat(gateway.in_passes(lambda part: gateway.ask(function, part), x)).double()
    scores = scores.flatten(1) if scores.ndim > 1 else scores[:, None]
    thresholds = 0.0 if offered.thresholds is None else torch.as_tensor(offered.thresholds).to(scores).flatten()
    return (scores - thresholds).amax(1)


def _classes(gateway: Gateway, x: Tensor) -> Tensor:
    return gateway.decide(x).labels
