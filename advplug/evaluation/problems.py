"""The problem behind each recipe of a job."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from advplug.adaptive import Recipe
from advplug.engine.problem import Options, Problem, make_problem
from advplug.errors import RobustnessWarning
from advplug.records.job import Job

Watch = Callable[[str, int, int, int], None]
"""Called as ``watch(attack name, steps done, steps planned, samples still standing)``.

Each attack that is run, not read back, starts with a call of no steps done and none planned.
"""


@contextmanager
def as_findings() -> Iterator[None]:
    """Warnings are not shown: an evaluation makes findings of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RobustnessWarning)
        yield


def problem_of(job: Job, recipe: Recipe, watch: Watch | None = None) -> Problem:
    """The problem that ``recipe`` solves, on all samples of ``job``; ``watch`` hears of its steps."""

    def progress(done: int, total: int, alive: int) -> None:
        if watch is not None:
            watch(recipe.name, done, total, alive)

    named = recipe.targets(job.images.labels) if callable(recipe.targets) else recipe.targets
    return make_problem(
        recipe.on or job.model,
        job.images.inputs,
        job.images.labels,
        job.threat,
        targets=named,
        num_targets=recipe.num_targets,
        loss=recipe.loss,
        gradient=recipe.gradient,
        criterion=recipe.criterion,
        auxiliary=job.auxiliary,
        options=Options(
            seed=job.seed,
            restarts=recipe.restarts,
            targets_at_once=recipe.targets_at_once,
            batch_size=job.batch_size,
            progress=progress,
        ),
    )
