"""Checks of a gradient plugin: an estimate for each sample, from its own noise, that points up the loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from advplug.engine.objective import Objective
from advplug.gradients import Estimate, GradientEstimator
from advplug.losses import Margin
from advplug.numerics.random_numbers import Noise
from advplug.spelling import read_gradient
from advplug.testing.components import Answer, ask, problem_for, require_text
from advplug.testing.subject import NotApplicable, Subject, require

STEPS = 8
"""Estimates whose mean must point up the loss: one alone may be noisy."""


def check_estimates_for_each_sample(subject: Subject) -> None:
    """It gives a loss (n,), a gradient like the input and logits (n, K) or (draws, n, K), all finite."""
    gradient = subject.new()
    try:
        found = ask(gradient=gradient).estimate
    except NotApplicable:
        raise
    except Exception as error:
        raise AssertionError(f"it fails on a linear model: {error}") from error
    inputs = problem_for(Margin()).inputs
    require(found.loss.shape == inputs.shape[:1], f"its loss has shape {tuple(found.loss.shape)}: give (n,)")
    require(found.gradient.shape == inputs.shape, f"its gradient has shape {tuple(found.gradient.shape)}: the input's")
    require(found.logits.ndim in (2, 3), f"its logits have shape {tuple(found.logits.shape)}: give (n, K)")
    require(found.logits.shape[-2] == len(inputs), f"its logits have shape {tuple(found.logits.shape)}: give (n, K)")
    require(bool(found.gradient.isfinite().all()), "its gradient is NaN or infinite")


def check_estimate_of_a_sample_is_its_own(subject: Subject) -> None:
    """The estimate for a sample does not depend on the others in its batch."""
    whole = subject.once(_answer).estimate.gradient
    alone = torch.cat([ask(gradient=subject.new(), rows=torch.tensor([row])).estimate.gradient for row in (0, 3)])
    near = torch.allclose(alone, whole[[0, 3]], rtol=1e-4, atol=1e-5)
    require(near, "its estimate for a sample depends on the batch: draw from the noise, and mix no samples")


def check_estimate_follows_its_noise(subject: Subject) -> None:
    """The same noise and step give the same bits: nothing is drawn from a global generator."""
    first = subject.once(_answer).estimate.gradient
    again = ask(gradient=_Again(subject.new())).estimate.gradient
    require(torch.equal(first, again), "two calls with the same noise differ: take random numbers from noise alone")


def check_estimate_points_up_the_loss(subject: Subject) -> None:
    """On average over its noise it points where the loss of a linear model grows."""
    subject.once(_answer)
    mean = torch.stack([ask(gradient=subject.new(), step=step).estimate.gradient for step in range(STEPS)]).mean(0)
    share = float((_product(mean, ask().estimate.gradient) > 0).double().mean())
    require(share > 0.5, f"it points up the loss for {share:.0%} of the samples: give the gradient of the loss itself")


def check_counts_its_own_passes(subject: Subject) -> None:
    """Every input that it asks the model about is charged to its sample."""
    answer = subject.once(_answer)
    charged = int(answer.charged.sum())
    require(charged == answer.rows, f"the model saw {answer.rows} inputs, {charged} were charged: ask the objective")


def check_estimator_is_text(subject: Subject) -> None:
    """Its name spells it in ``--gradients``, and text says what it is, so that runs on other machines have the same."""
    require_text(subject, read_gradient)


@dataclass(frozen=True)
class _Again(GradientEstimator):
    """The second of two equal estimates, in one run: each run begins with the same state of the global generator."""

    of: GradientEstimator

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        self.of(objective, x, noise, step)
        return self.of(objective, x, noise, step)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """The inner product of each sample, (n,)."""
    return (first * second).flatten(1).sum(1)


def _answer(subject: Subject) -> Answer:
    """What it says of all samples."""
    try:
        answer = ask(gradient=subject.new())
    except NotApplicable:
        raise
    except Exception as error:
        raise NotApplicable("it gives no estimate: see estimates_for_each_sample") from error
    if answer.estimate.gradient.shape != problem_for(Margin()).inputs.shape:
        raise NotApplicable("its gradient has another shape: see estimates_for_each_sample")
    return answer
