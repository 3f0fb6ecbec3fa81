"""What shows, before any attack, that the standard attacks are not enough, and which component to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from advplug.engine.problem import Problem
from advplug.evaluation.diagnostics.dead_gradient import where_it_dies
from advplug.evaluation.diagnostics.random_points import random_points
from advplug.evaluation.diagnostics.randomness import measure
from advplug.evaluation.diagnostics.remedies import THE_STEP, draws_of, estimators, next_change
from advplug.evaluation.diagnostics.signs import MANY, percent
from advplug.evaluation.diagnostics.slopes import SAMPLES, first_of, slopes, unusable
from advplug.gradients import EOT, GradientEstimator
from advplug.losses import CrossEntropy, Margin
from advplug.numerics.random_numbers import Noise
from advplug.records.finding import Finding

_ALL_BUT_ONE = 1 - 1e-6  # a probability of which float32 makes 1, and a cross-entropy of 0


def preflight(problem: Problem) -> list[Finding]:
    """Everything that can be seen at the clean inputs."""
    looks = (signs_in_budget, signs_in_answers, signs_of_randomness, signs_in_decisions, signs_in_gradients)
    return [finding for look in looks for finding in look(problem)]


def signs_in_answers(problem: Problem) -> Iterator[Finding]:
    """Answers that depend on batch-mates, and probabilities for logits."""
    first = _answers(problem)
    if problem.model.batch_dependent:
        yield from _sign_of_batch_mates(problem)
    if bool((first >= 0).all()) and torch.allclose(first.sum(1), torch.ones(len(first)).to(first), atol=1e-4):
        yield Finding(
            name="probabilities",
            id="G10",
            status="warn",
            message="The scores are probabilities: cross-entropy on top of them takes softmax twice, and saturates.",
            advice="Give the logits before softmax, or change the loss: margin.",
        )


def signs_of_randomness(problem: Problem, averaged: int | None = None) -> Iterator[Finding]:
    """Random answers over which nothing averages, or not enough, or which the model does not declare.

    ``averaged`` says over how many draws the best of several attacks averages; by default the problem's gradient.
    """
    if not problem.model.stochastic:
        return
    undeclared = "stochastic" in problem.model.undeclared
    found, averaged = measure(problem), averaged or draws_of(problem.gradient)
    low, high = found.interval
    if 2 * averaged >= found.draws and not undeclared:
        return
    told = ", which the model does not declare; successes are judged on several draws" if undeclared else ""
    of_what = f"the mean gradient of {averaged} draws" if averaged > 1 else "the gradient of one draw"
    declare = "declare stochastic = True."
    advice = f"Change the gradient: EOT({found.draws}), on the command line --gradients eot:{found.draws}"
    yield Finding(
        name="stochastic",
        id="G6",
        status="warn",
        figure=found.flips,
        threshold=0.0,
        message=f"Two passes over the same inputs differ{told}. The class of an input flips in {percent(found.flips)} "
        f"[{100 * low:.1f}, {100 * high:.1f}] of them"
        + (f", and {of_what} misleads." if 2 * averaged < found.draws else "."),
        advice=(f"{advice}; {declare}" if undeclared else f"{advice}.")
        if 2 * averaged < found.draws
        else f"In the model, {declare}",
    )


def _sign_of_batch_mates(problem: Problem) -> Iterator[Finding]:
    """Scores that depend on the other inputs of the batch, as those of batch normalisation without statistics."""
    few = problem.inputs[:SAMPLES]
    with problem.gateway() as gateway, torch.no_grad():
        few = gateway.cast(few)
        together, alone = gateway.ask(problem.model, few), gateway.scores(few)
    change = (alone - together).abs().amax() / together.abs().amax().clamp(min=1e-12)
    yield Finding(
        name="batch-dependent",
        id="G10",
        status="warn",
        figure=float(change),
        message=f"The scores of an input depend on the other inputs of its batch: alone they differ by up to "
        f"{percent(float(change))} of the largest score. Every input was attacked alone, one at a time.",
        advice="Give batch normalisation running statistics; a model in use sees other batches than this evaluation.",
    )


def signs_in_budget(problem: Problem) -> Iterator[Finding]:
    """A budget that allows every input: most likely pixels of 0 to 255 were meant."""
    threat = problem.threat
    if threat.allows_every_input:
        yield Finding(
            name="wide-budget",
            id="G13",
            status="warn",
            message=f"The budget {threat} is wider than the bounds {threat.bounds}: every input is within it.",
            advice=f"Did you mean linf:{threat.budget:.6g}/255?",
        )


def signs_in_decisions(problem: Problem) -> Iterator[Finding]:
    """Inputs that are turned away, of which scores and their losses know nothing."""
    if problem.model.rejects:
        yield Finding(
            name="detector",
            id="G12",
            status="warn",
            message="The model rejects inputs, and no standard loss knows what it rejects.",
            advice="Change the loss to one that passes the detector too, such as matching a benign input's logits.",
        )


def signs_in_gradients(
    problem: Problem, already: frozenset[str] = frozenset(), lost: Mapping[str, float] | None = None
) -> Iterator[Finding]:
    """Gradients of cross-entropy that are zero at the inputs or near them, and whether another loss has some.

    ``lost`` is what :func:`share_without` says of the problem, where that is known.
    """
    if set(estimators(problem.gradient)) - {"eot"}:
        return
    lost = lost or share_without(problem)
    if lost["cross-entropy"] <= MANY:
        return
    saturates = lost["margin"] < lost["cross-entropy"] / 2
    where = "" if saturates else where_it_dies(problem)
    yield Finding(
        name="zero-gradients",
        id="G2" if saturates else "G1",
        status="warn",
        figure=lost["cross-entropy"],
        threshold=MANY,
        message=f"The gradient of cross-entropy is zero at {percent(lost['cross-entropy'])} of the inputs"
        + (": it saturates there." if saturates else ", and so is that of the margin: the model hides it.")
        + (f" It is lost in {where}." if where else ""),
        advice="Change the loss: margin, which does not saturate (--loss margin)."
        if saturates
        else next_change(already, "traced", "bpda", "finite-differences", "square", where=where or THE_STEP),
    )


def share_without(problem: Problem) -> dict[str, float]:
    """Share of the first samples at which a loss has no usable gradient: the input, or a random point near it.

    By loss, ``cross-entropy`` and ``margin``; and ``saturated``, the share at which softmax is 1 in single precision.
    """
    few = first_of(problem)
    rows = torch.arange(len(few.inputs), device=few.inputs.device)
    with few.gateway() as gateway:
        points = [few.inputs]
        if few.epsilon is not None:
            points.append(random_points(few, rows, Noise.of(few.options.seed, few.samples, -3), on_surface=False))
        lost: dict[str, list[Tensor]] = {"cross-entropy": [], "margin": []}
        certain = list[Tensor]()
        for point in points:
            x = gateway.cast(point)
            for name, loss in (("cross-entropy", CrossEntropy()), ("margin", Margin())):
                lost[name].append(unusable(slopes(loss, few, gateway, x)[1], len(x)))
            certain.append(gateway.scores(x).softmax(1).amax(1) > _ALL_BUT_ONE)
    shares = {name: max(float(each.double().mean()) for each in found) for name, found in lost.items()}
    return shares | {"saturated": max(float(each.double().mean()) for each in certain)}


def averages(gradient: GradientEstimator) -> bool:
    """Whether ``gradient`` averages over the model's draws somewhere."""
    inner = getattr(gradient, "of", None)
    return isinstance(gradient, EOT) or (isinstance(inner, GradientEstimator) and averages(inner))


def _answers(problem: Problem, seed: int = 0) -> Tensor:
    """Scores (n, K) of the first samples, with the global generators at ``seed``."""
    few = first_of(problem)
    with replace(few, options=replace(few.options, seed=seed)).gateway() as gateway:
        return gateway.scores(gateway.cast(few.inputs))
