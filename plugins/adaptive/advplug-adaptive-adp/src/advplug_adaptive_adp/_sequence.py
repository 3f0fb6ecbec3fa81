"""Two attacks in a row: the descent, then the walk along the boundary on what it left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from advplug_attack_brendel_bethge import BrendelBethge
from advplug_attack_pgd import PGD

from advplug.attack import Attack, Problem, Stage, Task
from advplug.families import AtLogProbabilities
from advplug.hyperparameters import Count, Positive
from advplug.losses import Margin


@dataclass(frozen=True, kw_only=True)
class DescentThenBoundary(Attack):
    """PGD with several restarts, then Brendel & Bethge on the survivors, whose point within the budget counts.

    The second attack takes the margin of the logarithms of the scores, if the model says that they are probabilities:
    it is closer to linear than the margin of probabilities.

    Parameters
    ----------
    steps, step_size, restarts: of PGD.
    boundary_steps, boundary_restarts: of Brendel & Bethge.
    radius: of its first trust region; see :class:`advplug_attack_brendel_bethge.BrendelBethge`.
    """

    norms = ("linf", "l2", "l1")

    steps: Count = 250
    step_size: Positive | None = None
    restarts: Count = 3
    boundary_steps: Count = 200
    boundary_restarts: Count = 3
    radius: Positive = 5e-3

    def run(self, task: Task) -> None:
        """Never called: the engine runs the stages."""
        raise TypeError("the attack runs in stages: use advplug.run")

    def stages(self, problem: Problem) -> Sequence[Stage]:
        descent = PGD(steps=self.steps, step_size=self.step_size)
        boundary = BrendelBethge(steps=self.boundary_steps, radius=self.radius)
        margin = replace(problem, loss=AtLogProbabilities(of=Margin()))
        return [
            Stage("pgd", descent, _repeated(problem, self.restarts)),
            Stage("brendel-bethge", boundary, _repeated(margin, self.boundary_restarts)),
        ]

    @property
    def planned_steps(self) -> int:
        """Steps of a sample that nothing breaks."""
        return self.restarts * self.steps + self.boundary_restarts * self.boundary_steps


def _repeated(problem: Problem, times: int) -> Problem:
    return replace(problem, options=replace(problem.options, restarts=times * problem.options.restarts))
