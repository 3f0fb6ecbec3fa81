"""Losses and gradient estimators asked about a tiny linear model, for the checks of their kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from advplug.engine.problem import Problem, make_problem
from advplug.engine.query_counter import QueryCounter
from advplug.errors import InvalidInput
from advplug.gradients import Estimate, Exact, GradientEstimator
from advplug.losses import Loss, Margin, View
from advplug.model import PlainModel
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tensors import wrap
from advplug.spelling import written
from advplug.testing.models import CLASSES, linear_case
from advplug.testing.subject import NotApplicable, Subject, require


@dataclass(frozen=True)
class Answer:
    """An estimate, how many rows the model was asked about, and the forward passes charged for each sample, (n,)."""

    estimate: Estimate
    rows: int
    charged: Tensor


def problem_for(loss: Loss) -> Problem:
    """Eight samples of a linear model, all right, with targets if ``loss`` needs some."""
    case = linear_case()
    targets = (case.labels + 1) % CLASSES if loss.needs_targets else None
    return make_problem(case.model, case.inputs, case.labels, case.threat("linf"), targets=targets)


def ask(
    loss: Loss | None = None,
    gradient: GradientEstimator | None = None,
    *,
    x: Tensor | None = None,
    rows: Tensor | None = None,
    step: int = 0,
) -> Answer:
    """What ``gradient`` says of ``loss`` at ``x``, the clean inputs unless given, for the samples ``rows``.

    Raises
    ------
    NotApplicable: the loss or the estimator asks for what a linear model does not have.
    """
    loss = loss or Margin()
    problem = problem_for(loss)
    rows = torch.arange(len(problem.inputs)) if rows is None else rows
    points = problem.inputs if x is None else x
    targets = problem.targets[rows] if isinstance(problem.targets, Tensor) else None
    counter = QueryCounter(len(rows), points.device)
    seen: list[int] = []
    with problem.gateway() as gateway:
        hook = problem.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        try:
            objective = replace(problem, loss=loss).objective(gateway, loss, counter, rows, targets)
            noise = Noise.of(0, rows, 0)
            estimate = (gradient or Exact())(objective, points[rows], noise, step)
        except InvalidInput as error:
            raise NotApplicable(f"a linear model is not enough for it: {error}") from error
        finally:
            hook.remove()
    return Answer(estimate, sum(seen), counter.forwards)


def view_of(scores: Tensor, labels: Tensor, targets: Tensor | None = None) -> View:
    """What a loss sees where a model answers ``scores`` (n, K) to inputs of the true classes ``labels`` (n,)."""
    return View(
        model=PlainModel(nn.Identity(), scores.shape[1]),
        x=wrap(scores),
        logits=wrap(scores),
        labels=wrap(labels),
        targets=None if targets is None else wrap(targets),
        samples=wrap(torch.arange(len(scores))),
        activations={},
    )


def require_text(subject: Subject, read: Callable[[str], Any]) -> None:
    """The name of the plugin is its word: ``read`` makes it of that, and text says what it is."""
    made = subject.new()
    require(
        type(read(subject.spec.name)) is type(made),
        f"the core has a {subject.spec.kind} of the name {subject.spec.name!r}: choose another one",
    )
    try:
        text = written(made)
    except InvalidInput as error:
        raise AssertionError(f"{error}") from error
    require(repr(read(text)) == repr(made), f"{text!r} is read as {read(text)!r}: make it a frozen dataclass")
