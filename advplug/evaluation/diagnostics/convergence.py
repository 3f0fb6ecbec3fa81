"""Whether an attack had enough steps: what stood is attacked again with twice as many."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from advplug.attack import Attack
from advplug.engine.problem import Problem
from advplug.engine.result import AttackResult
from advplug.engine.stages import run_attack

LOOKED_AT = 16
"""How many of the samples that stood are attacked again, at most."""


def with_twice_the_steps(attack: Attack, problem: Problem, result: AttackResult) -> tuple[int, int]:
    """How many samples that stood were attacked again, and how many of them fell.

    None are where the attack has no ``steps``, runs in stages, or has no budget to stay within.
    """
    more = longer(attack)
    standing = (result.correct & ~result.success).nonzero().squeeze(1)[:LOOKED_AT]
    if more is None or problem.epsilon is None or not len(standing) or attack.stages(problem) is not None:
        return 0, 0
    again = run_attack(more, replace(problem.at(standing), options=replace(problem.options, progress=None)))
    return len(standing), int(again.success.sum())


def longer(attack: Attack) -> Attack | None:
    """``attack`` with twice the steps, None where it has none to set."""
    settings: Any = attack
    if not is_dataclass(attack) or "steps" not in {field.name for field in fields(settings)}:
        return None
    twice: Attack = replace(settings, steps=2 * settings.steps)
    return twice
