"""How far a search goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from advplug.hyperparameters import AtLeast, Count, Interval, NonNegative, check_hyperparameters

LEAST_PASSES = 4000
"""Passes for each sample that a search has at least: about half of what the standard suite spends on a survivor."""

RANDOM = 2
"""How many times as many where the model is random, and each gradient is a mean over draws."""

LUCK = 0.1
"""Share broken of a random model's samples that may be chance, since each trial has few samples and draws."""

LATER = (1.0, 0.25, 0.125)
"""Share of the cost limit that each sentence of a sequence has."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The limits and the switches of a search.

    Parameters
    ----------
    trials: sentences that are tried for each sentence of the sequence, those on more samples counted again.
    samples: on how many samples, at most.
    sentences: how many the sequence has, at most.
    sampler: ``tpe`` learns from the trials before, ``random`` does not.
    traced: whether gradient networks take part.
    halving: whether the first trials see few samples only, and the best of them more.
    cost: passes that the search for the first sentence may use, as a multiple of those of the suite before it.
    steps: of an attack in a trial; the sentence that wins runs for twice as many.
    held_out: whether sentences are chosen on one half of the samples alone.
    """

    trials: Count = 64
    samples: Count = 100
    sentences: Annotated[int, Interval(1, 3)] = 3
    sampler: Literal["tpe", "random"] = "tpe"
    traced: bool = True
    halving: bool = True
    cost: NonNegative = 0.75
    steps: Annotated[int, AtLeast(2)] = 50
    held_out: bool = False

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def passes(self, part: int, spent: int, samples: int, *, stochastic: bool) -> int:
        """Passes for the search of sentence ``part``, from 1, after ``spent`` passes, with ``samples`` to try on."""
        least = LEAST_PASSES * (RANDOM if stochastic else 1) * samples if self.cost else 0
        return round(LATER[part - 1] * max(self.cost * spent, least))

    def idle(self, part: int, spent: int, *, stochastic: bool) -> float:
        """Passes without a gain after which the search of sentence ``part`` ends, after ``spent`` passes.

        A random model takes eight times the passes of another for each step, and its suite few. So the least number of
        passes is for those alone where more and more breaks.
        """
        return LATER[part - 1] * self.cost * spent if stochastic else math.inf
