"""advplug: adversarial-robustness evaluation from plugins.

Importing this package imports neither torch nor numpy; names that need them are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from advplug.hookspecs import API_VERSION, hookimpl
from advplug.specs import AdaptiveSpec, AttackSpec, BaselineSpec, DatasetSpec, DefenseSpec

if TYPE_CHECKING:  # the same names as in _LAZY, for type checkers and editors
    from advplug.adaptive import AdaptiveAttack, Recipe
    from advplug.api import run
    from advplug.attack import Attack, IterativeAttack
    from advplug.data import Dataset, Images
    from advplug.defense import Defense, Preset
    from advplug.evaluation import evaluate
    from advplug.manager import load
    from advplug.model import Decision, DefendedModel, PlainModel
    from advplug.threat import ThreatModel

__version__ = "0.1.0"

_LAZY = {
    "Attack": "advplug.attack",
    "IterativeAttack": "advplug.attack",
    "Dataset": "advplug.data",
    "Images": "advplug.data",
    "Decision": "advplug.model",
    "DefendedModel": "advplug.model",
    "PlainModel": "advplug.model",
    "Defense": "advplug.defense",
    "Preset": "advplug.defense",
    "ThreatModel": "advplug.threat",
    "load": "advplug.manager",
    "run": "advplug.api",
    "evaluate": "advplug.evaluation",
    "AdaptiveAttack": "advplug.adaptive",
    "Recipe": "advplug.adaptive",
}

__all__ = [
    "API_VERSION",
    "AdaptiveAttack",
    "AdaptiveSpec",
    "Attack",
    "AttackSpec",
    "BaselineSpec",
    "Dataset",
    "DatasetSpec",
    "Decision",
    "DefendedModel",
    "Defense",
    "DefenseSpec",
    "Images",
    "IterativeAttack",
    "PlainModel",
    "Preset",
    "Recipe",
    "ThreatModel",
    "evaluate",
    "hookimpl",
    "load",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'advplug' has no attribute {name!r}")
