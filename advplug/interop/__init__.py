"""Adapters to other libraries, in both directions; each peer is imported when one of its names is first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "FoolboxAttack": "foolbox",
    "as_foolbox_model": "foolbox",
    "call_as_foolbox": "foolbox",
    "from_foolbox_model": "foolbox",
    "ArtAttack": "art",
    "as_art_attack": "art",
    "as_art_classifier": "art",
    "as_art_detector": "art",
    "from_art_classifier": "art",
    "from_art_detector": "art",
    "PeerError": "peer",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"advplug.interop.{_HOME[name]}"), name)
    raise AttributeError(f"module 'advplug.interop' has no attribute {name!r}")
