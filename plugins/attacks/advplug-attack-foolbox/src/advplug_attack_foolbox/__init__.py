"""The attacks of Foolbox as advplug plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_foolbox._catalogue import CATALOGUE

__all__ = ["CATALOGUE", "advplug_attacks"]

__getattr__ = lazily(__name__, {"CATALOGUE": "._catalogue"})


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name every attack of the installed version; its files are read, and it is imported when one of them is loaded."""
    from advplug_attack_foolbox._catalogue import CATALOGUE

    return CATALOGUE.specs()
