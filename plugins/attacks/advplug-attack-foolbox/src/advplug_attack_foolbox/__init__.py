"""The attacks of Foolbox as advplug plugins."""

from __future__ import annotations

from advplug import AttackSpec, hookimpl


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name every attack of the installed version; its files are read, and it is imported when one of them is loaded."""
    from advplug_attack_foolbox._catalogue import CATALOGUE

    return CATALOGUE.specs()
