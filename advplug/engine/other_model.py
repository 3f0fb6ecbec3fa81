"""An attack on the samples of a task, against another model: one of the attacker's own, or one draw of a random one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import eagerpy as ep
from torch import Tensor

from advplug.attack import Attack
from advplug.engine.problem import Problem
from advplug.engine.query_counter import QueryCounter
from advplug.engine.task import Task
from advplug.losses import Loss
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tensors import wrap


class Found(NamedTuple):
    """What an attack found on another model: its best ``points`` (n, ...), and its passes there, int64 (n,)."""

    points: ep.Tensor
    forwards: Tensor
    backwards: Tensor


def on_other_model(
    task: Task, attack: Attack, problem: Problem, *, loss: Loss, prepared: Any = None, noise: Noise | None = None
) -> Found:
    """Run ``attack`` on the samples of ``task`` against the model of ``problem``, past its first success.

    Nothing that it finds counts until the task evaluates it, and its passes are not charged to the task.

    Parameters
    ----------
    loss: what the attack minimises there.
    prepared: what the attack prepared for that model.
    noise: its random numbers; None for those of the task.
    """
    rows = task.best_points.rows
    counter = QueryCounter(len(task.problem.inputs), rows.inputs.device)
    other = Task(
        replace(problem, options=replace(problem.options, early_end=False)),
        task.gateway.beside(problem.model),
        rows.untouched(noise or rows.noise),
        counter,
        task.tick,
        loss=loss,
        cost=attack.cost,
        prepared=prepared,
        restart=task.restart,
    )
    attack.run(other)
    return Found(wrap(other.best_points.in_order()), counter.forwards[rows.samples], counter.backwards[rows.samples])
