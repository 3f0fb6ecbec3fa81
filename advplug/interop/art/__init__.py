"""The Adversarial Robustness Toolbox (ART): our models and attacks in its pipelines, and its own in ours."""

from __future__ import annotations

from advplug.interop.art.attack import ArtAttack
from advplug.interop.art.classifiers import from_art_classifier
from advplug.interop.art.detectors import as_art_detector, from_art_detector
from advplug.interop.art.evasion import as_art_attack
from advplug.interop.art.models import as_art_classifier

__all__ = [
    "ArtAttack",
    "as_art_attack",
    "as_art_classifier",
    "as_art_detector",
    "from_art_classifier",
    "from_art_detector",
]
