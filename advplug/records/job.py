"""What is to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.tracking import Tracker


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that one evaluation needs.

    Parameters
    ----------
    case: name in tables and of the run directory.
    recipes: the attacks, in the order they run.
    sweep: smaller budgets, ascending, at which every attack runs as well; a minimum-norm run reads them off its
        distances. Empty for none.
    auxiliary: images that the attacker owns besides those attacked, for attacks that learn from some.
    command: what was typed to get this evaluation, "" for one that was asked for in Python.
    run_dir: directory that is written and resumed from; None writes nothing.
    named: what the command line was given, as JSON; None for a job made in Python.
    diagnose: ``quick`` leaves out diagnostics that run attacks of their own, which ``full`` runs.
    draws: fresh draws of a random model that each adversarial is judged on, for the worst of them and their majority.
    tracker: hears of every step of every attack that is run, not read back; None for nobody.
    """

    case: str
    model: DefendedModel
    images: Images
    threat: ThreatModel
    recipes: tuple[Recipe, ...]
    preset: str | None = None
    seed: int = 0
    batch_size: int | None = None
    sweep: tuple[float, ...] = ()
    claim: str | None = None
    lesson: str | None = None
    plugins: tuple[str, ...] = ()
    auxiliary: Images | None = None
    command: str = ""
    run_dir: Path | None = None
    named: Mapping[str, Any] | None = None
    diagnose: Literal["quick", "full"] = "quick"
    draws: int = 16
    tracker: Tracker | None = field(default=None, compare=False)
