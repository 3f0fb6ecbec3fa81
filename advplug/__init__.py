"""advplug: adversarial-robustness evaluation from plugins.

Importing this package imports neither torch nor numpy; names that need them are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from advplug.hookspecs import API_VERSION, hookimpl
from advplug.specs import AdaptiveSpec, AttackSpec, BaselineSpec, DatasetSpec, DefenseSpec

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

__all__ = [  # noqa: PLE0604  (the lazy names are strings too)
    "API_VERSION",
    "AdaptiveSpec",
    "AttackSpec",
    "BaselineSpec",
    "DatasetSpec",
    "DefenseSpec",
    "hookimpl",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'advplug' has no attribute {name!r}")
