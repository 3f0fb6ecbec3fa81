"""The search as an attack: the standard suite, then the sentences that the search finds on what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advplug.attack import Attack, Course, Problem, Stage, Task
from advplug.composition.journal import Journal
from advplug.composition.plan import Plan
from advplug.composition.sampling import require_optuna
from advplug.composition.sequence import Here, next_stage
from advplug.composition.words import suite_of
from advplug.plugins.manager import load


@dataclass(frozen=True, kw_only=True)
class Searching(Plan, Attack):
    """Base of the plugin ``auto``; its parameters are those of :class:`advplug.composition.plan.Plan`."""

    norms = ("linf", "l2", "l1", "l0")
    fixed_loss = True
    chooses_stages = True

    def __post_init__(self) -> None:
        Attack.__post_init__(self)

    def run(self, task: Task) -> None:
        """Never called: the engine runs the stages."""
        raise TypeError("the search runs in stages: use advplug.run")

    def stages(self, problem: Problem) -> Sequence[Stage]:
        """Those of the suite, which are known beforehand."""
        require_optuna()
        return suite_of(problem)

    def next_stage(self, problem: Problem, course: Course) -> Stage | None:
        return next_stage(problem, course, self, self.journal(), Here())

    def journal(self) -> Journal:
        """Where the trials are noted."""
        return Journal()

    @classmethod
    def search_space(cls) -> None:
        """It searches, and is not searched for."""
        return

    @property
    def planned_steps(self) -> int:
        """Steps of a sample that no stage breaks; what the trials take is not among them."""
        suite: Attack = load("attack:standard")()
        return suite.planned_steps + 2 * self.sentences * self.steps
