"""Losses that compare a sample with others of the attacked set, which they are told once before the attack."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.losses import Loss


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
    return problem if problem.loss is None else replace(problem, loss=with_references(problem.loss, problem, gateway))


def with_references(loss: Loss, problem: Problem, gateway: Gateway) -> Loss:
    """``loss`` with its references, also those of the losses that it is made of."""
    if isinstance(loss, Referring):
        return loss.among(problem, gateway)
    return loss.mapped(lambda part: with_references(part, problem, gateway))
