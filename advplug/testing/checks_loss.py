"""Checks of a loss plugin: one finite value per sample, which falls towards the goal of the attacker."""

from __future__ import annotations

import torch
from torch import Tensor

from advplug.spelling import read_loss
from advplug.testing.components import ask, problem_for, require_text
from advplug.testing.subject import NotApplicable, Subject, require

NEAR = 1e-5


def check_gives_one_value_per_sample(subject: Subject) -> None:
    """It gives a finite value for each sample, shape (n,), or several, (n, M)."""
    loss = subject.new()
    try:
        value = ask(loss).estimate.loss
    except NotApplicable:
        raise
    except Exception as error:
        raise AssertionError(f"it fails on a linear model ({error}): return one value per sample, (n,)") from error
    count = len(problem_for(loss).inputs)
    require(value.ndim in (1, 2) and len(value) == count, f"shape {tuple(value.shape)}: one value per sample, (n,)")
    require(bool(value.isfinite().all()), "its value is NaN or infinite where the model is right: clamp it")


def check_loss_of_a_sample_is_its_own(subject: Subject) -> None:
    """The value of a sample does not depend on the others in its batch."""
    whole = subject.once(_values)
    alone = torch.stack([least(ask(subject.new(), rows=torch.tensor([row])).estimate.loss)[0] for row in (0, 3)])
    near = torch.allclose(alone, whole[[0, 3]], rtol=NEAR, atol=NEAR)
    require(near, "its value for a sample depends on the others in the batch: take no mean or maximum over samples")


def check_loss_has_a_gradient(subject: Subject) -> None:
    """It has a finite gradient that is not zero at inputs on which the model is right."""
    subject.once(_values)
    gradient = ask(subject.new()).estimate.gradient
    require(bool(gradient.isfinite().all()), "its gradient is NaN or infinite: keep away from log(0) and sqrt(0)")
    flat = gradient.flatten(1).abs().amax(1) == 0
    require(not bool(flat.all()), "its gradient is zero for every sample: do not detach, round or clip the scores")


def check_loss_falls_towards_the_goal(subject: Subject) -> None:
    """It is smaller where the model is wrong (with targets: where it answers the target) than where it is right."""
    right = subject.once(_values)
    problem = problem_for(subject.new())
    wanted = problem.targets if isinstance(problem.targets, Tensor) else (problem.labels + 1) % 4
    weight = next(problem.model.parameters()).detach()
    towards = (weight[wanted] - weight[problem.labels]).view_as(problem.inputs)
    reached = least(ask(subject.new(), x=problem.inputs + 2 * towards).estimate.loss)
    lower = float((reached < right).double().mean())
    require(lower > 0.5, f"it falls for {lower:.0%} of the samples on the way to another class: attackers minimise")


def check_loss_is_text(subject: Subject) -> None:
    """Its name spells it in ``--losses``, and text says what it is, so that runs on other machines have the same."""
    require_text(subject, read_loss)


def least(value: Tensor) -> Tensor:
    """The least of several values of a sample, (n,)."""
    return value.flatten(1).amin(1) if value.ndim > 1 else value


def _values(subject: Subject) -> Tensor:
    """The value of each sample, (n,)."""
    try:
        value = least(ask(subject.new()).estimate.loss)
    except NotApplicable:
        raise
    except Exception as error:
        raise NotApplicable("it gives no values: see gives_one_value_per_sample") from error
    if value.shape != problem_for(subject.new()).labels.shape or not bool(value.isfinite().all()):
        raise NotApplicable("it gives no value per sample: see gives_one_value_per_sample")
    return value
