"""How the word of a loss, estimator or criterion follows from the name of its class; imports no torch."""

from __future__ import annotations

import re

ALIASES = {"finite-differences": "finite-difference", "detector": "detector-score"}
"""Other spellings of a word, and the word."""

FIRST = {"smoothed": "draws", "finite-difference": "queries"}
"""Which parameter stands after the colon, where it is not the first one."""

WITHOUT_WORD = {"Joint", "Both", "Confident"}
"""Sums are spelled with ``+``, criteria that both hold with ``&``; the last is a condition of an attack."""

HOMES = {
    "losses": ("Loss", ("advplug.losses", "advplug.transcription", "advplug.families", "advplug.tracing.acceptance")),
    "gradients": ("GradientEstimator", ("advplug.gradients", "advplug.tracing.traced")),
    "criteria": ("Criterion", ("advplug.criteria",)),
}
"""What may be spelled: the base of its classes, and the modules whose public and concrete ones have a word."""
PLUGINS = {"losses": "loss", "gradients": "gradient", "criteria": "criterion"}
"""The kind of plugin whose names are such words, too."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def word_of(name: str) -> str:
    """``multi-target-logit`` of ``MultiTargetLogit``, ``targeted-dlr`` of ``TargetedDLR``."""
    return _HUMP.sub("-", name).lower()
