"""Foolbox: our models and attacks in Foolbox code, and Foolbox's models and attacks in ours.

Importing this package registers :class:`advplug.attack.Attack` as a ``foolbox.attacks.base.Attack``, so that
``isinstance`` holds.
"""

from __future__ import annotations

from foolbox.attacks.base import Attack as _FoolboxBase

from advplug.attack import Attack as _Attack
from advplug.interop.foolbox.attack import FoolboxAttack
from advplug.interop.foolbox.call import call_as_foolbox
from advplug.interop.foolbox.models import as_foolbox_model, from_foolbox_model

__all__ = ["FoolboxAttack", "as_foolbox_model", "call_as_foolbox", "from_foolbox_model"]

_FoolboxBase.register(_Attack)  # type: ignore[type-abstract]
