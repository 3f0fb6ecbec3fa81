"""Foolbox: our models and attacks in Foolbox code, and Foolbox's models and attacks in ours.

Importing this module registers :class:`advplug.attack.Attack` as a ``foolbox.attacks.base.Attack``, so that
``isinstance`` holds.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args

import eagerpy as ep
import foolbox
import torch
from foolbox.attacks.base import FixedEpsilonAttack, MinimizationAttack
from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
from foolbox.attacks.ead import EADAttack
from foolbox.attacks.hop_skip_jump import HopSkipJumpAttack
from foolbox.criteria import Misclassification, TargetedMisclassification
from foolbox.models.base import Model
from foolbox.models.pytorch import PyTorchModel
from foolbox.models.wrappers import ExpectationOverTransformationWrapper
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.engine import run_attack, run_sweep
from advplug.errors import InvalidInput
from advplug.interop.calls import Goal, pose
from advplug.interop.peer import Part, run_peer
from advplug.model import DefendedModel
from advplug.ops import raw, wrap
from advplug.task import Task
from advplug.threat import Norm, ThreatModel
from advplug.verify import TOLERANCE

foolbox.attacks.base.Attack.register(Attack)  # type: ignore[type-abstract]

_NORMS: dict[float, Norm] = {0: "l0", 1: "l1", 2: "l2", math.inf: "linf"}
_NEVER_FOUND_IS_ZERO = (L2CarliniWagnerAttack, EADAttack)
_CLIPS_TO_UNIT = (HopSkipJumpAttack,)
_UNIT = (0.0, 1.0)


# --- models ---


class FoolboxModel(PyTorchModel):
    """A defended model in Foolbox's clothes; ``defended`` is the original."""

    def __init__(self, defended: DefendedModel, device: torch.device) -> None:
        super().__init__(defended, bounds=defended.bounds, device=device)
        self.defended = defended


def as_foolbox_model(model: DefendedModel, device: torch.device | str | None = None) -> FoolboxModel:
    """``model`` as a Foolbox model with its bounds, on ``device`` (default: where it is).

    Foolbox sees scores alone: that the defense rejects an input (:meth:`DefendedModel.decide`) is invisible to it, so
    it counts rejected inputs as successes. Our own attacks, called with this model, do respect it.
    """
    if device is None:
        parameter = next(model.parameters(), None)
        device = torch.device("cpu") if parameter is None else parameter.device
    return FoolboxModel(model, torch.device(device))


class FoolboxBackedModel(DefendedModel):
    """A Foolbox model with its preprocessing, as a model without a defense."""

    def __init__(self, fmodel: Any, num_classes: int, stochastic: bool) -> None:
        super().__init__(num_classes, tuple(fmodel.bounds))
        self.fmodel = fmodel
        self.network = _torch_module(fmodel)  # known as a part, so that the engine can freeze and restore it
        self.stochastic = stochastic

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fmodel(x))


def from_foolbox_model(fmodel: Any, *, num_classes: int | None = None, stochastic: bool | None = None) -> DefendedModel:
    """Any Foolbox model on PyTorch, with its bounds and preprocessing; ours comes back as it was.

    Parameters
    ----------
    num_classes: number of classes K; a Foolbox model does not tell.
    stochastic: whether equal inputs may get different answers; None for True under an
        ``ExpectationOverTransformationWrapper`` and False otherwise.

    Raises
    ------
    InvalidInput: not a Foolbox model, or the number of classes is missing.
    """
    if isinstance(fmodel, FoolboxModel) and _untouched(fmodel):
        return fmodel.defended
    if not isinstance(fmodel, Model):
        raise InvalidInput(f"the model is a {type(fmodel).__name__}: pass a foolbox.Model, such as PyTorchModel")
    if num_classes is None:
        raise InvalidInput("a Foolbox model does not tell how many classes it has: pass num_classes=<K>")
    if stochastic is None:
        stochastic = any(isinstance(layer, ExpectationOverTransformationWrapper) for layer in _layers(fmodel))
    return FoolboxBackedModel(fmodel, num_classes, stochastic)


def _untouched(fmodel: FoolboxModel) -> bool:
    """Whether it still takes our inputs: ``transform_bounds`` returns a copy with other bounds."""
    return tuple(fmodel.bounds) == tuple(fmodel.defended.bounds)


def _layers(fmodel: Any) -> list[Any]:
    """The model and everything that it wraps."""
    layers = [fmodel]
    while isinstance(layers[-1], Model) and hasattr(layers[-1], "_model"):
        layers.append(layers[-1]._model)
    return layers


def _torch_module(fmodel: Any) -> nn.Module | None:
    """The torch module inside, which PyTorchModel keeps in a closure; None if it cannot be found."""
    inner = _layers(fmodel)[-1]
    found = inspect.getclosurevars(inner).nonlocals.get("model") if inspect.isfunction(inner) else None
    return found if isinstance(found, nn.Module) else None


# --- our attacks, called as Foolbox calls its own ---


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
    **options: Any,
) -> tuple[Any, Any, Any]:
    """Run ``attack`` with Foolbox's convention.

    Parameters
    ----------
    fmodel: a Foolbox model on PyTorch.
    inputs: float (N, ...) within the model's bounds, raw or eagerpy.
    criterion: labels (N,), ``Misclassification`` or ``TargetedMisclassification``.
    epsilons: a budget, a sequence of budgets, or None for the smallest perturbation.
    norm: of the budgets; None takes that of ``distance``, else linf if the attack works under it, else the first of
        ``attack.norms``.
    distance: the same as one of ``foolbox.distances``.
    starting_points: like ``inputs``, for attacks that take some.
    options: ``loss``, ``gradient`` and the fields of :class:`advplug.problem.Options`, such as ``restarts``.

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
    restore = wrap if isinstance(inputs, ep.Tensor) else raw
    budgets, many = _budgets(epsilons)
    goal = _goal(criterion)
    if None in budgets and not attack.minimum_norm:
        raise InvalidInput(f"{type(attack).__name__} needs a budget: give epsilons without None")
    minimum = None if attack.minimum_norm else min(cast("list[float]", budgets))
    if not isinstance(fmodel, Model):
        raise InvalidInput(f"the model is a {type(fmodel).__name__}: pass a foolbox.Model, such as PyTorchModel")
    bounds = (fmodel.bounds.lower, fmodel.bounds.upper)
    threat = ThreatModel(_norm(attack, norm, distance), minimum, bounds, goal.targeted)
    model = from_foolbox_model(fmodel, num_classes=_count_classes(fmodel, point))
    starts = None if starting_points is None else raw(starting_points)
    call = pose(model, point, goal, threat, starts, **options)

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


def _budgets(epsilons: Any) -> tuple[list[float | None], bool]:
    """The budgets, and whether they came as a sequence."""
    many = isinstance(epsilons, Iterable) and getattr(epsilons, "ndim", 1) > 0
    values = list(epsilons) if many else [epsilons]
    if not values:
        raise InvalidInput("epsilons is empty: give at least one budget, or None for the smallest perturbation")
    return [None if value is None else float(value) for value in values], many


def _goal(criterion: Any) -> Goal:
    if isinstance(criterion, TargetedMisclassification):
        return Goal(raw(criterion.target_classes), targeted=True)
    labels = criterion.labels if isinstance(criterion, Misclassification) else criterion
    labels = raw(labels)
    if not isinstance(labels, Tensor):
        kind = type(labels).__name__
        raise InvalidInput(f"criterion is a {kind}: give labels, Misclassification or TargetedMisclassification")
    return Goal(labels)


def _norm(attack: Attack, norm: Norm | None, distance: Any) -> Norm:
    measured = None if distance is None else _NORMS.get(getattr(distance, "p", math.nan))
    if distance is not None and measured is None:
        raise InvalidInput(f"distance {distance!r}: choose l0, l1, l2 or linf of foolbox.distances")
    if norm is not None and measured is not None and norm != measured:
        raise InvalidInput(f"norm {norm!r} and distance {distance!r} disagree: give one of them")
    return norm or measured or ("linf" if "linf" in attack.norms else cast(Norm, attack.norms[0]))


def _count_classes(fmodel: Any, inputs: Any) -> int:
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or inputs.ndim < 2 or not len(inputs):
        kind = f"{getattr(inputs, 'dtype', type(inputs).__name__)} of shape {tuple(getattr(inputs, 'shape', ()))}"
        raise InvalidInput(f"inputs are {kind}: give a float torch or eagerpy tensor (N, ...), N >= 1")
    with torch.no_grad():
        return int(fmodel(inputs[:1]).shape[-1])


# --- Foolbox's attacks as ours ---


class FoolboxAttack(Attack):
    """Any fixed-epsilon or minimization attack of Foolbox.

    Foolbox decides where to search; the engine counts every pass, judges what it returns by a fresh decision, and
    ignores its ``success``. Two faults of Foolbox 3.3 are mended on the way: the all-zero images that Carlini-Wagner
    and EAD return for samples they never broke count as failures, and HopSkipJump, which clips to [0, 1] whatever the
    bounds, runs on inputs rescaled to that range. It sees scores alone, so it does not know what a detector rejects.

    Random numbers are Foolbox's own: they are drawn for whole batches from torch's global generator, which the engine
    seeds and restores; results depend on the batch size.

    Parameters
    ----------
    attack: a Foolbox attack, or the name of one in ``foolbox.attacks``.
    parameters: its constructor arguments, if ``attack`` is a name.

    Raises
    ------
    InvalidInput: unknown name, wrong parameters, or an attack of another kind.
    """

    def __init__(self, attack: Any, parameters: Mapping[str, Any] | None = None) -> None:
        self.attack = attack
        self.parameters_ = dict(parameters or {})
        self._peer = _make(attack, self.parameters_)
        norm = _measured_norm(self._peer)
        self.norms = get_args(Norm) if norm is None else (norm,)  # type: ignore[misc]
        self.minimum_norm = isinstance(self._peer, MinimizationAttack)  # type: ignore[misc]

    def parameters(self) -> dict[str, Any]:
        return {"attack": self.attack, "parameters": self.parameters_}

    def run(self, task: Task) -> None:
        run_peer(task, f"Foolbox's {type(self._peer).__name__}", lambda part: self._search(part, task.threat.bounds))

    def _search(self, part: Part, bounds: tuple[float, float]) -> Tensor:
        model: Model = PyTorchModel(part.model, bounds=bounds, device=part.inputs.device)
        low, width = 0.0, 1.0
        if isinstance(self._peer, _CLIPS_TO_UNIT) and tuple(bounds) != _UNIT:
            low, width = bounds[0], bounds[1] - bounds[0]
            model = model.transform_bounds(_UNIT)
        options: dict[str, Any] = {}
        if part.starts is not None:
            options["starting_points"] = ((part.starts - low) / width).clamp(0, 1) if width != 1 else part.starts
        epsilon = None if part.epsilon is None else part.epsilon / width
        options["early_stop" if self.minimum_norm else "epsilon"] = epsilon
        inputs = part.inputs if (low, width) == _UNIT else ((part.inputs - low) / width).clamp(0, 1)
        goal = Misclassification(part.labels) if part.targets is None else TargetedMisclassification(part.targets)
        found = cast(Tensor, self._peer.run(model, inputs, goal, **options))
        if isinstance(self._peer, _NEVER_FOUND_IS_ZERO):
            zero = ~found.flatten(1).any(1)
            found = torch.where(zero.view(-1, *(1,) * (found.ndim - 1)), inputs, found)
        return found * width + low if (low, width) != _UNIT else found


def _make(attack: Any, parameters: dict[str, Any]) -> Any:
    if isinstance(attack, str):
        kind = getattr(foolbox.attacks, attack, None)
        if kind is None:
            raise InvalidInput(f"foolbox.attacks has no {attack!r}")
        try:
            attack = kind(**parameters)
        except TypeError as error:
            raise InvalidInput(f"foolbox.attacks.{kind.__name__}: {error}") from error
    elif parameters:
        raise InvalidInput("parameters belong to the name of an attack: this one has its own already")
    if not isinstance(attack, FixedEpsilonAttack | MinimizationAttack):
        kind = getattr(attack, "__name__", type(attack).__name__)
        raise InvalidInput(f"{kind}: give a FixedEpsilonAttack or MinimizationAttack; for repeats use restarts")
    return attack


def _measured_norm(attack: Any) -> Norm | None:
    """The norm of a Foolbox attack; None if it was left open or is none of ours."""
    try:
        return _NORMS.get(getattr(attack.distance, "p", math.nan))
    except ValueError:  # how Foolbox says that no distance was given
        return None
