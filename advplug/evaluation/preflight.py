"""What shows, before any attack, that the standard attacks are not enough, and which component to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.query_counter import QueryCounter
from advplug.errors import AdvplugError
from advplug.evaluation.diagnostics import MANY, percent
from advplug.gradients import EOT, Exact, GradientEstimator
from advplug.losses import CrossEntropy, Loss, Margin
from advplug.numerics.random_numbers import Noise
from advplug.records.finding import Finding

SAMPLES = 64
"""How many samples are looked at, at most."""

PAIRED = 8
"""How many of them are also looked at in pairs."""


def preflight(problem: Problem) -> list[Finding]:
    """Everything that can be seen at the clean inputs."""
    return [*signs_in_answers(problem), *signs_in_decisions(problem), *signs_in_gradients(problem)]


def signs_in_answers(problem: Problem) -> Iterator[Finding]:
    """Random answers that nothing averages over, and probabilities in place of logits."""
    first, second = _answers(problem, 0), _answers(problem, 1)
    if torch.allclose(first, second, rtol=1e-4, atol=1e-5):
        yield from _signs_of_batch_mates(problem, first)
    elif not averages(problem.gradient):
        undeclared = "" if problem.model.stochastic else ", and the model does not say that it is stochastic"
        yield Finding(
            name="stochastic",
            status="warn",
            message=f"Two passes over the same inputs differ{undeclared}: the gradient of one draw misleads.",
            advice="Change the gradient: EOT(20), on the command line --gradients eot:20"
            + ("; declare stochastic = True." if undeclared else "."),
        )
    if bool((first >= 0).all()) and torch.allclose(first.sum(1), torch.ones(len(first)).to(first), atol=1e-4):
        yield Finding(
            name="probabilities",
            status="warn",
            message="The scores are probabilities: cross-entropy on top of them takes softmax twice, and saturates.",
            advice="Give the logits before softmax, or change the loss: margin.",
        )


def _signs_of_batch_mates(problem: Problem, together: Tensor) -> Iterator[Finding]:
    """Scores that depend on the other inputs of the batch, as those of batch normalisation without statistics."""
    inputs = problem.inputs[: min(PAIRED, len(problem.inputs) // 2 * 2)]
    if len(problem.inputs) < 3:
        return
    with problem.gateway() as gateway:
        inputs = gateway.cast(inputs)
        apart = torch.cat([gateway.scores(pair) for pair in inputs.split(2)])
    change = (apart - together[: len(apart)]).abs().amax() / together.abs().amax().clamp(min=1e-12)
    if change > 1e-2:
        yield Finding(
            name="batch-dependent",
            status="warn",
            message=f"The scores of an input depend on the other inputs of its batch: in pairs they differ by up to "
            f"{percent(float(change))} of the largest score. Robust accuracy changes with the batch size.",
            advice="Give batch normalisation running statistics, or attack one sample at a time: --batch-size 1.",
        )


def signs_in_decisions(problem: Problem) -> Iterator[Finding]:
    """Inputs that are turned away, of which scores and their losses know nothing."""
    if problem.model.rejects:
        yield Finding(
            name="detector",
            status="warn",
            message="The model rejects inputs, and no standard loss knows what it rejects.",
            advice="Change the loss to one that passes the detector too, such as matching a benign input's logits.",
        )


def signs_in_gradients(problem: Problem) -> Iterator[Finding]:
    """Gradients of cross-entropy that are zero at the clean inputs, and whether another loss has some."""
    if not isinstance(problem.gradient, Exact):
        return
    lost = _share_without(CrossEntropy(), problem)
    if lost <= MANY:
        return
    helps = _share_without(Margin(), problem) < lost / 2
    yield Finding(
        name="zero-gradients",
        status="warn",
        message=f"The gradient of cross-entropy is zero at {percent(lost)} of the inputs"
        + (": it saturates there." if helps else ", and so is that of the margin: the model hides it."),
        advice="Change the loss: margin, which does not saturate."
        if helps
        else "Change the gradient: finite differences, smoothed or BPDA; and believe attacks that see scores alone.",
    )


def averages(gradient: GradientEstimator) -> bool:
    """Whether ``gradient`` averages over the model's draws somewhere."""
    inner = getattr(gradient, "of", None)
    return isinstance(gradient, EOT) or (isinstance(inner, GradientEstimator) and averages(inner))


def _answers(problem: Problem, seed: int) -> Tensor:
    """Scores (n, K) of the first samples, with the global generators at ``seed``."""
    few = _some(problem)
    with replace(few, options=replace(few.options, seed=seed)).gateway() as gateway:
        return gateway.scores(gateway.cast(few.inputs))


def _share_without(loss: Loss, problem: Problem) -> float:
    """Share of the first samples at which ``loss`` has no usable gradient."""
    few = _some(problem)
    with few.gateway() as gateway:
        passes = torch.arange(len(few.inputs), device=few.inputs.device).split(gateway.max_rows)
        return float(torch.cat([_without(loss, few, gateway, rows) for rows in passes]).double().mean())


def _without(loss: Loss, problem: Problem, gateway: Gateway, rows: Tensor) -> Tensor:
    """Whether the gradient of ``loss`` is zero throughout or not finite, bool (n,) for the samples ``rows``."""
    x = gateway.cast(problem.inputs[rows])
    objective = problem.objective(gateway, loss, QueryCounter(len(rows), x.device), rows)
    try:
        gradient = Exact()(objective, x, Noise.of(0, problem.samples[rows], 0), 0).gradient
    except AdvplugError:  # no gradient at all
        return torch.ones(len(rows), dtype=torch.bool)
    peak = gradient.flatten(1).abs().amax(1)
    return ~((peak > 0) & peak.isfinite()).cpu()


def _some(problem: Problem) -> Problem:
    few = {name: getattr(problem, name)[:SAMPLES] for name in ("inputs", "labels", "samples")}
    return replace(problem, **few)
