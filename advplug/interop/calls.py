"""What the calling conventions of other libraries share: goals without true labels, and options as keywords."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Options, Problem, make_problem
from advplug.engine.region import Region
from advplug.engine.result import AttackResult
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.threat import ThreatModel, as_threat

_COMPONENTS = ("loss", "gradient", "criterion", "auxiliary")
OPTIONS = (*_COMPONENTS, *(field.name for field in fields(Options)))
"""Keywords that the adapters pass on to the problem."""


@dataclass(frozen=True)
class Goal:
    """Classes (N,) to leave, or to reach if ``targeted``; None to leave whatever the model answers."""

    classes: Tensor | None
    targeted: bool = False


@dataclass(frozen=True)
class Call:
    """A problem as another library poses it.

    Other libraries give a targeted attack no true labels: the model's own answers stand in for them, and samples that
    are answered with the target need no attack. ``todo`` int64 (M,) lists the samples that do; ``problem`` holds
    these, and is None if there are none.
    """

    inputs: Tensor
    todo: Tensor
    problem: Problem | None
    targeted: bool

    def adversarials(self, result: AttackResult | None) -> Tensor:
        """Points (N, ...), the input where there was nothing to do or no success."""
        points = self.inputs.detach().clone()
        if result is not None:
            points[self.todo] = result.adversarials
        return points

    def success(self, result: AttackResult | None, found: Tensor | None = None) -> Tensor:
        """Whether the goal is met at :meth:`adversarials`, bool (N,); also where it was met before the attack.

        ``found`` bool (M,) stands in for ``result.success``.
        """
        met = torch.ones(len(self.inputs), dtype=torch.bool, device=self.inputs.device)
        if result is not None:
            found = result.success if found is None else found
            met[self.todo] = found if self.targeted else found | ~result.correct
        return met


def pose(
    model: DefendedModel,
    inputs: Tensor,
    goal: Goal,
    threat: ThreatModel | str,
    *,
    starting_points: Tensor | None = None,
    epsilon: Tensor | None = None,
    **options: Any,
) -> Call:
    """Build the problem.

    Parameters
    ----------
    starting_points: like ``inputs``, for attacks that take some.
    epsilon: a budget for each input, (N,), instead of the one of ``threat``.
    options: ``loss``, ``gradient``, ``criterion``, ``auxiliary`` and fields of Options.

    Raises
    ------
    TypeError: unknown option.
    InvalidInput: see :func:`advplug.engine.problem.make_problem`; or starting points that are not finite.
    """
    unknown = options.keys() - set(OPTIONS)
    if unknown:
        raise TypeError(f"unknown options {sorted(unknown)}: choose from {', '.join(OPTIONS)}")
    threat = as_threat(threat, bounds=model.bounds)
    components = {name: options.pop(name) for name in _COMPONENTS if name in options}
    settings = Options(**options)
    if starting_points is not None and not bool(starting_points.isfinite().all()):
        raise InvalidInput("starting points hold NaN or infinite values: give a finite point for each input")
    beside = {"starting_points": starting_points, "epsilon": epsilon}
    given: dict[str, Any] = {name: None if rows is None else rows.to(inputs.device) for name, rows in beside.items()}
    if not goal.targeted:
        labels = _answers(model, inputs, settings.seed) if goal.classes is None else goal.classes
        whole = make_problem(model, inputs, labels, threat, options=settings, **given, **components)
        return Call(inputs, torch.arange(len(inputs), device=inputs.device), whole, False)
    if goal.classes is None:
        raise InvalidInput("a targeted goal needs classes: give the target of each input")
    # one check of the whole, before the samples that need nothing are left out
    make_problem(model, inputs, goal.classes, replace(threat, targeted=False), **given)
    labels = _answers(model, inputs, settings.seed)
    targets = goal.classes.to(labels)
    todo = (labels != targets).nonzero().squeeze(1)
    if not len(todo):
        return Call(inputs, todo, None, True)
    problem = make_problem(
        model,
        inputs[todo],
        labels[todo],
        ThreatModel(threat.norm, threat.epsilon, threat.bounds, threat.targeted),
        targets=targets[todo],
        options=settings,
        **{name: None if rows is None else rows[todo] for name, rows in given.items()},
        **components,
    )
    problem = replace(problem, threat=threat, region=Region.of(threat, inputs).at(todo))
    return Call(inputs, todo, problem, True)


def _answers(model: DefendedModel, inputs: Tensor, seed: int) -> Tensor:
    """The classes that the model answers, int64 (N,)."""
    with Gateway(model, inputs[:1], seed=seed) as gateway:
        return gateway.decide(gateway.cast(inputs)).labels
