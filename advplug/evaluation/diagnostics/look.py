"""What a diagnostic looks at, and the two findings without trouble: passed, and nobody looked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.engine.problem import Problem
from advplug.evaluation.diagnostics.dead_gradient import where_it_dies
from advplug.evaluation.diagnostics.preflight import averages, share_without
from advplug.evaluation.diagnostics.remedies import next_change, tried
from advplug.evaluation.diagnostics.signs import MANY
from advplug.evaluation.problems import problem_of
from advplug.records.evaluation import Evaluation, Row
from advplug.records.finding import Finding
from advplug.records.job import Job

ON_DEMAND = "--diagnose full runs it"


@dataclass(frozen=True)
class Look:
    """A finished evaluation and the job behind it; ``not_run`` names attacks without a row."""

    job: Job
    evaluation: Evaluation
    not_run: Sequence[str]

    @property
    def full(self) -> bool:
        """Whether costly diagnostics run as well."""
        return self.job.diagnose == "full"

    @property
    def asks(self) -> bool:
        """Whether the model is asked at all: in a case, whose authors knew what they attack, only on demand."""
        return not self.unasked

    @property
    def unasked(self) -> str:
        """Why nobody asks the model; "" where it is asked."""
        if not self.job.model.scores_classes:
            return "The model transcribes, and has no score for each class that could be looked at."
        if self.job.claim is None or self.full:
            return ""
        return f"A case knows what it attacks, so that nobody asked the model: {ON_DEMAND}."

    @cached_property
    def recipe(self) -> Recipe:
        """The attack whose settings the looks at the model take over: the one that averages most, if one does."""
        own = [recipe for recipe in self.job.recipes if recipe.on is None]
        return next((one for one in own if averages(one.gradient)), own[0] if own else self.job.recipes[0])

    @cached_property
    def problem(self) -> Problem:
        """The problem of :attr:`recipe`, on all samples."""
        return problem_of(self.job, self.recipe)

    @cached_property
    def already(self) -> frozenset[str]:
        """Remedies that the evaluation has tried."""
        return tried(self.job.recipes)

    @cached_property
    def where(self) -> str:
        """The module that loses the gradient; "" where none does, or nobody looked."""
        return where_it_dies(self.problem) if self.asks else ""

    @cached_property
    def without_gradient(self) -> dict[str, float]:
        """At which share of the inputs a loss has no gradient, or is saturated."""
        return share_without(self.problem)

    @cached_property
    def saturates(self) -> bool:
        """Whether cross-entropy has no gradient where the margin has one."""
        if not self.asks:
            return False
        lost = self.without_gradient
        return lost["cross-entropy"] > MANY and lost["margin"] < lost["cross-entropy"] / 2

    @property
    def another_gradient(self) -> str:
        """The advice where gradients mislead: the next way around them."""
        ways = ("traced", "bpda", "finite-differences", "smoothed", "square")
        return next_change(self.already, *ways, where=self.where or "what hides the gradient")

    @property
    def rows(self) -> list[Row]:
        """The attacks on this model, without those on another one."""
        return [row for row in self.evaluation.rows if row.role != "control"]

    @property
    def with_gradients(self) -> list[Row]:
        """Those of :attr:`rows` whose attack asked for gradients."""
        return [row for row in self.rows if row.gradients > 0]

    @property
    def samples(self) -> int:
        """How many samples were attacked."""
        return max(1, self.evaluation.samples)

    def recipe_of(self, row: Row) -> Recipe | None:
        """The recipe that a row is of."""
        return next((one for one in self.job.recipes if one.name == row.name and one.library == row.library), None)

    def standing(self, rows: Sequence[Row]) -> Tensor:
        """Samples that are right and that none of ``rows`` broke, int64 (n,)."""
        left: NDArray[np.bool_] = np.ones(len(self.job.images), bool)
        for row in rows:
            left &= np.asarray(row.arrays["correct"], bool) & ~np.asarray(row.arrays["success"], bool)
        return torch.from_numpy(np.flatnonzero(left)).to(self.job.images.inputs.device)


Looker = Callable[[Look], Iterator[Finding]]


def passed(message: str, figure: float | None = None, threshold: float | None = None) -> Finding:
    """A look that found nothing wrong; the name and number of its diagnostic are filled in later."""
    return Finding(name="", status="pass", message=message, figure=figure, threshold=threshold)


def skipped(reason: str) -> Finding:
    """A look that did not happen."""
    return Finding(name="", status="not-run", message=reason)
