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

DRAWS = 4
"""How many draws of a random model are compared."""


def preflight(problem: Problem) -> list[Finding]:
    """Everything that can be seen at the clean inputs."""
    looks = (signs_in_budget, signs_in_answers, signs_in_decisions, signs_in_gradients)
    return [finding for look in looks for finding in look(problem)]


def signs_in_answers(problem: Problem) -> Iterator[Finding]:
    """Random answers that nothing averages over, answers that depend on batch-mates, and probabilities for logits."""
    first = _answers(problem)
    if problem.model.stochastic:
        yield from _sign_of_randomness(problem, first)
    if problem.model.batch_dependent:
        yield from _sign_of_batch_mates(problem)
    if bool((first >= 0).all()) and torch.allclose(first.sum(1), torch.ones(len(first)).to(first), atol=1e-4):
        yield Finding(
            name="probabilities",
            status="warn",
            message="The scores are probabilities: cross-entropy on top of them takes softmax twice, and saturates.",
            advice="Give the logits before softmax, or change the loss: margin.",
        )


def _sign_of_randomness(problem: Problem, first: Tensor) -> Iterator[Finding]:
    """How often the class changes from one draw to the next, if nothing averages or the model does not declare it."""
    undeclared = "stochastic" in problem.model.undeclared
    if averages(problem.gradient) and not undeclared:
        return
    flips = torch.stack([_answers(problem, seed).argmax(1) != first.argmax(1) for seed in range(1, DRAWS)])
    told = ", which the model does not declare; successes are judged on several draws" if undeclared else ""
    yield Finding(
        name="stochastic",
        status="warn",
        message=f"Two passes over the same inputs differ{told}. The class of an input flips in "
        f"{percent(float(flips.double().mean()))} of them, and the gradient of one draw misleads.",
        advice="Change the gradient: EOT(20), on the command line --gradients eot:20"
        + ("; declare stochastic = True." if undeclared else "."),
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
        status="warn",
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
            status="warn",
            message=f"The budget {threat} is wider than the bounds {threat.bounds}: every input is within it.",
            advice=f"Did you mean linf:{threat.budget:.6g}/255?",
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


def _answers(problem: Problem, seed: int = 0) -> Tensor:
    """Scores (n, K) of the first samples, with the global generators at ``seed``."""
    few = _some(problem)
    with replace(few, options=replace(few.options, seed=seed)).gateway() as gateway:
        return gateway.scores(gateway.cast(few.inputs))


def _share_without(loss: Loss, problem: Problem) -> float:
    """Share of the first samples at which ``loss`` has no usable gradient."""
    few = _some(problem)
    with few.gateway() as gateway:
        rows = torch.arange(len(few.inputs), device=few.inputs.device)
        lost = gateway.in_passes(lambda part: _without(loss, few, gateway, part), rows)
        return float(torch.cat(lost).double().mean())


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
    return problem.at(torch.arange(min(SAMPLES, len(problem.inputs)), device=problem.inputs.device))
