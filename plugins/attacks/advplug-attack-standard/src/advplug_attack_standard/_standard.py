"""AutoAttack's standard suite (Croce and Hein 2020, section 6) as a cascade of advplug attacks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from advplug import load
from advplug.attack import Attack, Problem, Stage, Task
from advplug.errors import RobustnessWarning
from advplug.evaluation import preflight
from advplug.hyperparameters import AtLeast, Count, Positive
from advplug.losses import DLR, CrossEntropy, Loss, Margin, TargetedDLR

SQUARE = "square"
"""Name of the stage that sees scores alone."""

PROPOSALS = 8
"""Windows that Square tries on a sample at once; as many queries as one by one, in two thirds of the time."""


@dataclass(frozen=True, kw_only=True)
class Standard(Attack):
    """The attacks to run first on any model: each stage sees what the ones before left standing.

    1. ``apgd-ce``: Auto-PGD on cross-entropy.
    2. ``apgd-t``: Auto-PGD on the targeted difference-of-logits ratio, at each of the likeliest other classes; on the
       margin for models of fewer than four classes, where that ratio is not defined.
    3. ``fab-t``: the fast adaptive boundary attack at the same classes.
    4. ``square``: random search from scores alone; not under L1.

    A stochastic model gets ``apgd-ce`` and ``apgd-dlr``, the authors' version for such models, then ``pgd`` on the
    margin: Auto-PGD goes back to the point with the least loss, which on such a model may be the luck of one draw. The
    gradient should average over the draws. Number of classes and bounds are those of the model. A targeted threat model
    aims every stage at the given targets.

    What can be seen before the search that makes the suite weak (random answers, zero gradients, probabilities for
    logits, a detector) is a :class:`RobustnessWarning`; ``advplug evaluate`` prints it as a finding.

    Parameters
    ----------
    steps: of each run of APGD and FAB.
    num_targets: how many of the likeliest other classes the targeted stages aim at.
    queries: of Square, for each sample.
    patience: how soon Square gives up a sample whose margin falls too slowly to reach zero; None for never. A
        sample whose margin jumps late is lost with it. See :class:`advplug.families.RandomSearch`.
    """

    norms = ("linf", "l2", "l1")
    fixed_loss = True

    steps: Count = 100
    num_targets: Count = 9
    queries: Annotated[int, AtLeast(2)] = 5000
    patience: Positive | None = None

    def run(self, task: Task) -> None:
        """Never called: the engine runs the stages."""
        raise TypeError("the standard suite runs in stages: use advplug.run")

    def stages(self, problem: Problem) -> Sequence[Stage]:
        for finding in preflight(problem):
            warnings.warn(f"{finding.message} {finding.advice}", RobustnessWarning, stacklevel=4)
        apgd = load("attack:apgd")(steps=self.steps)
        # Untargeted, the likeliest other classes are only where some stages steer to, unless the caller named some.
        whole = problem if problem.threat.targeted else replace(problem, targets=None, num_targets=None)
        classes = problem if problem.has_targets else replace(problem, num_targets=self.num_targets)
        together = max(problem.options.targets_at_once, self.num_targets)
        classes = replace(classes, options=replace(problem.options, targets_at_once=together))
        stages = [Stage("apgd-ce", apgd, replace(whole, loss=CrossEntropy()))]
        count, targeted = problem.model.num_classes, problem.threat.targeted
        if problem.model.stochastic:
            loss: Loss = DLR() if count >= DLR.min_classes and not targeted else Margin()
            pgd = load("attack:pgd")(steps=self.steps)
            return [
                *stages,
                Stage("apgd-dlr", apgd, replace(whole, loss=loss)),
                Stage("pgd", pgd, replace(whole, loss=Margin())),
            ]
        ratio: Loss = TargetedDLR() if count >= TargetedDLR.min_classes else Margin()
        stages += [
            Stage("apgd-t", apgd, replace(classes, loss=ratio)),
            Stage("fab-t", load("attack:fab")(steps=self.steps), classes),
        ]
        if problem.threat.norm != "l1":
            square = load("attack:square")(
                queries=self.queries, proposals=min(PROPOSALS, self.queries - 1), patience=self.patience
            )
            stages.append(Stage(SQUARE, square, whole))
        return stages

    @property
    def planned_steps(self) -> int:
        """Steps of a sample that no stage breaks."""
        return (1 + 2 * self.num_targets) * self.steps + self.queries
