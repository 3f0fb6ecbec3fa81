"""The calls that most users need: run one attack, evaluate a job, load a plugin."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal

import eagerpy as ep
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.criteria import Criterion
from advplug.data import Images
from advplug.engine.problem import Options, make_problem
from advplug.engine.result import AttackResult
from advplug.engine.stages import run_attack
from advplug.evaluation import evaluate
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.numerics.tensors import raw, wrap
from advplug.plugins.manager import load
from advplug.threat import ThreatModel

__all__ = ["AttackResult", "evaluate", "load", "run"]


def run(
    attack: Attack,
    model: nn.Module,
    inputs: Tensor | ep.Tensor,
    labels: Tensor | ep.Tensor,
    threat: ThreatModel,
    *,
    loss: Loss | None = None,
    gradient: GradientEstimator | None = None,
    criterion: Criterion | None = None,
    targets: Tensor | ep.Tensor | Literal["each"] | None = None,
    num_targets: int | None = None,
    epsilon: Tensor | ep.Tensor | None = None,
    starting_points: Tensor | ep.Tensor | None = None,
    auxiliary: Images | None = None,
    **options: Any,
) -> AttackResult:
    """Attack ``model`` with an attack, a loss, a gradient estimator and a criterion.

    Parameters
    ----------
    model: a DefendedModel, or any module from inputs in ``threat.bounds`` to logits (N, K).
    inputs: float32 or float64 (N, ...), raw or eagerpy.
    labels: integer (N,).
    loss, gradient, criterion: the attack's own loss, exact gradients and the goal of ``threat`` unless given.
    targets: classes (N,) to reach, ``"each"`` for every other class in turn, or None.
    num_targets: how many of the likeliest other classes to try in turn, instead of ``targets``.
    epsilon: a budget for each sample (N,), instead of the one of ``threat``.
    starting_points: like ``inputs``, for attacks that take some.
    auxiliary: images that the attacker owns besides these, for attacks that learn from some.
    options: fields of :class:`advplug.attack.Options`, such as ``seed``, ``restarts``, ``early_end``.

    Returns
    -------
    AttackResult: with eagerpy adversarials if the inputs were eagerpy.

    Raises
    ------
    InvalidInput: before any compute, for anything that cannot be attacked; the message says what to change.
    """
    unknown = options.keys() - {field.name for field in fields(Options)}
    if unknown:
        raise TypeError(f"unknown options {sorted(unknown)}: choose from {[field.name for field in fields(Options)]}")
    problem = make_problem(
        model,
        raw(inputs),
        raw(labels),
        threat,
        loss=loss,
        gradient=gradient,
        criterion=criterion,
        targets=raw(targets) if isinstance(targets, ep.Tensor) else targets,
        num_targets=num_targets,
        epsilon=None if epsilon is None else raw(epsilon),
        starting_points=None if starting_points is None else raw(starting_points),
        auxiliary=auxiliary,
        options=Options(**options),
    )
    result = run_attack(attack, problem)
    if isinstance(inputs, ep.Tensor):
        return replace(result, adversarials=wrap(result.adversarials))  # type: ignore[arg-type]
    return result
