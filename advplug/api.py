"""The one call that runs an attack from Python."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal

import eagerpy as ep
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.criteria import Criterion
from advplug.data import Images
from advplug.engine import run_attack
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.ops import raw, wrap
from advplug.problem import Options, make_problem
from advplug.result import AttackResult
from advplug.threat import ThreatModel


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
    targets: Tensor | ep.Tensor | Literal["each"] | int | None = None,
    epsilon: Tensor | ep.Tensor | None = None,
    starts: Tensor | ep.Tensor | None = None,
    auxiliary: Images | None = None,
    **options: Any,
) -> AttackResult:
    """Attack ``model`` with one sentence of four words: attack, loss, gradient, criterion.

    Parameters
    ----------
    model: a DefendedModel, or any module from inputs in ``threat.bounds`` to logits (N, K).
    inputs: float32 or float64 (N, ...), raw or eagerpy.
    labels: integer (N,).
    targets: classes (N,), ``"each"`` for every other class, a number for so many of the likeliest, or None.
    epsilon: a budget for each sample (N,), instead of the one of ``threat``.
    starts: starting points like ``inputs``, for attacks that take one.
    auxiliary: images that the attacker owns besides these, for attacks that learn from some.
    options: fields of :class:`advplug.problem.Options`, such as ``seed``, ``restarts``, ``early_end``.

    Returns
    -------
    AttackResult: with eagerpy adversarials if the inputs were eagerpy.

    Raises
    ------
    InvalidInput: before any compute, for anything that cannot be attacked; see :func:`advplug.problem.make_problem`.
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
        epsilon=None if epsilon is None else raw(epsilon),
        starts=None if starts is None else raw(starts),
        auxiliary=auxiliary,
        options=Options(**options),
    )
    result = run_attack(attack, problem)
    if isinstance(inputs, ep.Tensor):
        return replace(result, adversarials=wrap(result.adversarials))  # type: ignore[arg-type]
    return result
