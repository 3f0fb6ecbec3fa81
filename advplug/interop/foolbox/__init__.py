"""Foolbox: our models and attacks in Foolbox code, and Foolbox's models and attacks in ours.

Importing this package registers :class:`advplug.attack.Attack` with Foolbox's classes, so that ``isinstance`` holds:
every attack is a ``foolbox.attacks.base.AttackWithDistance``; one that looks for the smallest perturbation is a
``MinimizationAttack``, one that needs a budget a ``FixedEpsilonAttack``. An attack whose parameters decide that, such
as one around another attack, is neither.
"""

from __future__ import annotations

from advplug.interop.foolbox import kinds as _kinds  # noqa: F401  # registers
from advplug.interop.foolbox.attack import FoolboxAttack
from advplug.interop.foolbox.call import call_as_foolbox, run_as_foolbox
from advplug.interop.foolbox.models import as_foolbox_model, from_foolbox_model
from advplug.interop.foolbox.norms import distance_of

__all__ = [
    "FoolboxAttack",
    "as_foolbox_model",
    "call_as_foolbox",
    "distance_of",
    "from_foolbox_model",
    "run_as_foolbox",
]
