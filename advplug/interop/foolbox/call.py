"""Our attacks, called as Foolbox calls its own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any, cast

import eagerpy as ep
import numpy as np
import torch
from foolbox.models.base import Model
from torch import Tensor

from advplug.attack import Attack
from advplug.engine.stages import run_attack, run_sweep
from advplug.engine.verification import TOLERANCE
from advplug.errors import InvalidInput
from advplug.interop.arrays import tensor_of
from advplug.interop.calls import pose
from advplug.interop.foolbox.goals import goal_of
from advplug.interop.foolbox.models import model_answering
from advplug.interop.foolbox.norms import norm_of, usual_norm
from advplug.numerics.tensors import raw, wrap
from advplug.threat import Norm, ThreatModel


def call_as_foolbox(
    attack: Attack,
    fmodel: Any,
    inputs: Any,
    criterion: Any,
    *,
    epsilons: Any,
    norm: Norm | None = None,
    distance: Any = None,
    starting_points: Any = None,
    mask: Any = None,
    **options: Any,
) -> tuple[Any, Any, Any]:
    """Run ``attack`` with Foolbox's convention.

    Parameters
    ----------
    fmodel: a Foolbox model on PyTorch.
    inputs: float (N, ...) within the model's bounds, raw or eagerpy.
    criterion: labels (N,) as a tensor, raw or eagerpy, or as a numpy array; ``Misclassification``,
        ``TargetedMisclassification``, or both joined by ``&``.
    epsilons: a budget, a sequence of budgets (a list, an array, a tensor), or None for the smallest perturbation.
    norm: of the budgets; None takes that of ``distance``, else linf if the attack works under it, else the first of
        ``attack.norms``.
    distance: the same as one of ``foolbox.distances``.
    starting_points: like ``inputs``, for attacks that take some.
    mask: True where values may change, an array or tensor of the shape of one input, one that broadcasts to it, or with
        one row for each input; see :class:`advplug.ThreatModel`.
    options: ``loss``, ``gradient`` and the fields of :class:`advplug.attack.Options`, such as ``restarts``.

    Returns
    -------
    raw, clipped, success: like ``inputs`` each and bool (N,); for a sequence of K budgets two lists of K and bool
        (K, N). Types are those of ``inputs``. Unlike Foolbox, a failed sample is its clean input in ``raw`` and
        ``clipped``. Success holds for ``clipped``; samples that are wrong before the attack (or, if the defense
        rejects, refused) count as successes, so that ``1 - success.mean()`` is the robust accuracy.

    Raises
    ------
    InvalidInput: what no attack can work on, a criterion other than those, None for an attack that needs a budget.
    """
    point = raw(inputs)
    _check_inputs(point)
    restore = wrap if isinstance(inputs, ep.Tensor) else raw
    budgets, many = _budgets(epsilons)
    goal = goal_of(criterion)
    if None in budgets and not attack.minimum_norm:
        raise InvalidInput(f"{type(attack).__name__} needs a budget: give epsilons without None")
    minimum = None if attack.minimum_norm else min(cast("list[float]", budgets))
    if not isinstance(fmodel, Model):
        raise InvalidInput(f"the model is a {type(fmodel).__name__}: pass a foolbox.Model, such as PyTorchModel")
    bounds = (fmodel.bounds.lower, fmodel.bounds.upper)
    threat = ThreatModel(_norm(attack, norm, distance), minimum, bounds, goal.targeted, cast(Any, raw(mask)))
    model = model_answering(fmodel, point)
    given = _like("starting_points", starting_points, point)
    call = pose(model, point, goal, threat, starting_points=given, **options)

    founds: dict[float | None, Any] = dict.fromkeys(budgets)
    if call.problem is not None and not attack.minimum_norm:
        ascending = sorted(cast("set[float]", set(budgets)))
        founds = dict(zip(ascending, run_sweep(attack, call.problem, ascending), strict=True))
    elif call.problem is not None:
        founds = dict.fromkeys(budgets, run_attack(attack, call.problem))

    raws, clips, successes = [], [], []
    for budget in budgets:
        result = founds[budget]
        points = call.adversarials(result)
        success = call.success(result)
        clipped = points
        if result is not None and attack.minimum_norm and budget is not None:
            within = result.success & (result.distance <= budget * (1 + TOLERANCE))
            clipped = points.clone()
            clipped[call.todo[~within]] = point[call.todo[~within]]
            success = call.success(result, within)
        raws.append(restore(points))
        clips.append(restore(clipped))
        successes.append(success)
    if many:
        return raws, clips, restore(torch.stack(successes))
    return raws[0], clips[0], restore(successes[0])


def run_as_foolbox(
    attack: Attack,
    model: Any,
    inputs: Any,
    criterion: Any,
    *,
    epsilon: Any = None,
    early_stop: Any = None,
    **options: Any,
) -> Any:
    """Foolbox's ``run`` of ``attack``, such as its ``init_attack`` parameters call it: the perturbed inputs alone.

    Parameters
    ----------
    epsilon: the budget; not for attacks that look for the smallest perturbation.
    early_stop: a size below which such an attack need not go on. Ours go on.
    options: those of :func:`call_as_foolbox`, such as ``starting_points``.

    Returns
    -------
    Like ``inputs``, of their type; the clean input where the attack fails.

    Raises
    ------
    InvalidInput: ``epsilon`` is missing, or one of the two belongs to attacks of the other kind.
    """
    name = type(attack).__name__
    if epsilon is not None and attack.minimum_norm:
        raise InvalidInput(f"{name} looks for the smallest perturbation: call run without epsilon")
    if epsilon is None and not attack.minimum_norm:
        raise InvalidInput(f"{name} needs a budget: call run with epsilon, and start other attacks from its results")
    if early_stop is not None:
        _budget(early_stop, "early_stop")
    return call_as_foolbox(attack, model, inputs, criterion, epsilons=epsilon, **options)[0]


def _budgets(epsilons: Any) -> tuple[list[float | None], bool]:
    """The budgets, and whether they came as a sequence."""
    epsilons = raw(epsilons)
    many = isinstance(epsilons, Iterable) and not isinstance(epsilons, str) and getattr(epsilons, "ndim", 1) > 0
    values = list(epsilons) if many else [epsilons]
    if not values:
        raise InvalidInput("epsilons is empty: give at least one budget, or None for the smallest perturbation")
    return [None if value is None else _budget(value, "epsilons") for value in values], many


def _budget(value: Any, name: str) -> float:
    number: Any = raw(value)
    if getattr(number, "ndim", None) == 0:
        number = number.item()
    try:
        size = float(number) if isinstance(number, Real) and not isinstance(number, bool | np.bool_) else math.nan
    except OverflowError:
        raise InvalidInput(f"{name} holds a number too large for a float: give finite numbers >= 0") from None
    if not 0 <= size < math.inf:
        raise InvalidInput(f"{name} holds {value!r}: give finite numbers >= 0, or None for the smallest perturbation")
    return size


def _norm(attack: Attack, norm: Norm | None, distance: Any) -> Norm:
    measured = None if distance is None else norm_of(distance)
    if distance is not None and measured is None:
        raise InvalidInput(f"distance {distance!r}: choose l0, l1, l2 or linf of foolbox.distances")
    if norm is not None and measured is not None and norm != measured:
        raise InvalidInput(f"norm {norm!r} and distance {distance!r} disagree: give one of them")
    return norm or measured or usual_norm(attack)


def _like(name: str, points: Any, inputs: Tensor) -> Tensor | None:
    """Points that the caller gave, in the dtype and on the device of ``inputs``."""
    if points is None:
        return None
    if not isinstance(raw(points), Tensor | np.ndarray):
        raise InvalidInput(f"{name} is a {type(points).__name__}: give a tensor or array like the inputs")
    return tensor_of(name, points).to(inputs)


def _check_inputs(inputs: Any) -> None:
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or inputs.ndim < 2 or not len(inputs):
        kind = f"{getattr(inputs, 'dtype', type(inputs).__name__)} of shape {tuple(getattr(inputs, 'shape', ()))}"
        raise InvalidInput(f"inputs are {kind}: give a float torch or eagerpy tensor (N, ...), N >= 1")
