"""Losses that compare a sample with others of the attacked set, which they are told once before the attack."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.losses import Joint, Loss


class Referring(Loss):
    """A loss that takes its references from the problem: the attack runs on what :meth:`among` makes of it."""

    @abstractmethod
    def among(self, problem: Problem, gateway: Gateway) -> Loss:
        """The loss with references from ``problem.pool``, the whole set that is attacked.

        Raises
        ------
        InvalidInput: the set has none that fit.
        """


def referring(problem: Problem, gateway: Gateway) -> Problem:
    """``problem`` with a loss that has its references; as it is where the loss needs none."""
    loss = None if problem.loss is None else with_references(problem.loss, problem, gateway)
    return problem if loss is problem.loss else replace(problem, loss=loss)


def with_references(loss: Loss, problem: Problem, gateway: Gateway) -> Loss:
    """``loss`` with its references, also those of the terms of a sum."""
    if isinstance(loss, Referring):
        return loss.among(problem, gateway)
    if isinstance(loss, Joint):
        terms = tuple((weight, with_references(term, problem, gateway)) for weight, term in loss.terms)
        return loss if all(new is old for (_, new), (_, old) in zip(terms, loss.terms, strict=True)) else Joint(terms)
    return loss
