"""An attack several times, of which the best result counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from advplug.attack import Attack, Course, Problem, Stage, Task
from advplug.families.around import AttackAround
from advplug.hyperparameters import Count


@dataclass(frozen=True, kw_only=True)
class Repeated(AttackAround):
    """``attack`` with ``times`` as many restarts as the problem asks for; what :meth:`advplug.Attack.repeat` makes.

    Later rounds see the samples that are not broken yet; without a budget all of them, and the nearest point counts.
    """

    attack: Attack
    times: Count

    @property
    def inner(self) -> Attack:
        return self.attack

    @property
    def planned_steps(self) -> int:
        return self.times * self.attack.planned_steps

    def run(self, task: Task) -> None:
        """Never called: the engine runs the attack inside."""
        raise TypeError("a repeated attack runs as a stage: use advplug.run")

    def stages(self, problem: Problem) -> Sequence[Stage]:
        repeated = self._repeated(problem)
        return self.attack.stages(repeated) or [Stage(type(self.attack).__name__, self.attack, repeated)]

    @property
    def chooses_stages(self) -> bool:
        return self.attack.chooses_stages

    def next_stage(self, problem: Problem, course: Course) -> Stage | None:
        return self.attack.next_stage(self._repeated(problem), course)

    def _repeated(self, problem: Problem) -> Problem:
        """``problem`` with as many restarts."""
        return replace(problem, options=replace(problem.options, restarts=self.times * problem.options.restarts))

    def repeat(self, times: int) -> Repeated:
        return replace(self, times=self.times * times)
