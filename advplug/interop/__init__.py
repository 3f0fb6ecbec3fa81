"""Adapters to other libraries, in both directions; each library is imported when one of its names is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.interop.art import (
        ArtAttack,
        as_art_attack,
        as_art_classifier,
        as_art_detector,
        from_art_classifier,
        from_art_detector,
    )  # fmt: skip
    from advplug.interop.catalogue import EVERY_NORM, Access, Catalogue, Entry
    from advplug.interop.external import ExternalError, Part
    from advplug.interop.foolbox import FoolboxAttack, as_foolbox_model, call_as_foolbox, from_foolbox_model

__all__ = [
    "EVERY_NORM",
    "Access",
    "ArtAttack",
    "Catalogue",
    "Entry",
    "ExternalError",
    "FoolboxAttack",
    "Part",
    "as_art_attack",
    "as_art_classifier",
    "as_art_detector",
    "as_foolbox_model",
    "call_as_foolbox",
    "from_art_classifier",
    "from_art_detector",
    "from_foolbox_model",
]

HOMES = {
    "EVERY_NORM": ".catalogue",
    "Access": ".catalogue",
    "ArtAttack": ".art",
    "Catalogue": ".catalogue",
    "Entry": ".catalogue",
    "ExternalError": ".external",
    "FoolboxAttack": ".foolbox",
    "Part": ".external",
    "as_art_attack": ".art",
    "as_art_classifier": ".art",
    "as_art_detector": ".art",
    "as_foolbox_model": ".foolbox",
    "call_as_foolbox": ".foolbox",
    "from_art_classifier": ".art",
    "from_art_detector": ".art",
    "from_foolbox_model": ".foolbox",
}
"""Module of each name, relative to this package."""

__getattr__ = lazily(__name__, HOMES)


def __dir__() -> list[str]:
    return __all__
