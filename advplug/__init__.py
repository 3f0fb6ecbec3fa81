"""advplug: adversarial-robustness evaluation from plugins.

Importing this package imports neither torch nor numpy; names that need them are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.hookspecs import API_VERSION, hookimpl
from advplug.lazy import lazily
from advplug.specs import (
    AdaptiveSpec,
    AttackSpec,
    CriterionSpec,
    DatasetSpec,
    DefenseSpec,
    GradientSpec,
    LossSpec,
    TrackerSpec,
)

if TYPE_CHECKING:  # the same names as below, for type checkers and editors
    from advplug.adaptive import AdaptiveAttack, Recipe
    from advplug.api import evaluate, load, run
    from advplug.attack import Attack, IterativeAttack
    from advplug.data import Dataset, Images
    from advplug.defense import Defense, Preset
    from advplug.model import Decision, DefendedModel, PlainModel
    from advplug.observer import observe
    from advplug.records import Evaluation
    from advplug.records.composition import Composition
    from advplug.searches import search
    from advplug.threat import ThreatModel

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "AdaptiveAttack",
    "AdaptiveSpec",
    "Attack",
    "AttackSpec",
    "Composition",
    "CriterionSpec",
    "Dataset",
    "DatasetSpec",
    "Decision",
    "DefendedModel",
    "Defense",
    "DefenseSpec",
    "Evaluation",
    "GradientSpec",
    "Images",
    "IterativeAttack",
    "LossSpec",
    "PlainModel",
    "Preset",
    "Recipe",
    "ThreatModel",
    "TrackerSpec",
    "evaluate",
    "hookimpl",
    "load",
    "observe",
    "run",
    "search",
]

__getattr__ = lazily(
    __name__,
    {
        "AdaptiveAttack": ".adaptive",
        "Attack": ".attack",
        "Composition": ".records.composition",
        "Dataset": ".data",
        "Decision": ".model",
        "DefendedModel": ".model",
        "Defense": ".defense",
        "Evaluation": ".records.evaluation",
        "Images": ".data",
        "IterativeAttack": ".attack",
        "PlainModel": ".model",
        "Preset": ".defense",
        "Recipe": ".adaptive",
        "ThreatModel": ".threat",
        "evaluate": ".api",
        "load": ".plugins.manager",  # not from the api: finding a plugin must not import torch
        "observe": ".observer",
        "run": ".api",
        "search": ".searches",
    },
)


def __dir__() -> list[str]:
    return __all__
