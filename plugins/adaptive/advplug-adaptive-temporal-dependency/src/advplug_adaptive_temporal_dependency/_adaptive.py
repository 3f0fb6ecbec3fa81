"""How the temporal-dependency detector is passed (Tramer et al. 2020, appendix J)."""

from __future__ import annotations

from collections.abc import Sequence

from advplug_defense_temporal_dependency import TemporalDependency

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.criteria import Accepted, Targeted
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.transcription import CTC
from advplug_adaptive_temporal_dependency._attack import ShrinkingBound
from advplug_adaptive_temporal_dependency._loss import CTCOfBeginnings
from advplug_adaptive_temporal_dependency._targets import EverySymbolChanged

SOURCE = "Tramer et al. 2020, appendix J, 100 sentences, unbounded Linf"

UNFLAGGED = Targeted() & Accepted()
"""The phrase is heard as the target, and the detector lets it pass."""

DIGITS = EverySymbolChanged(10)


class BreakTemporalDependency(AdaptiveAttack):
    """The detector hears beginnings of the sound, and the usual attack never asks what is heard in them.

    The baseline is the targeted attack of Carlini and Wagner (2018) on the whole sound. No other library can run it on
    a torch model of one's own: Foolbox has classifiers alone, and ART's attacks on speech are tied to recognisers of
    theirs.
    """

    breaks = "temporal-dependency"
    claim = "An adversarial sound is heard as the wanted phrase as a whole only, so that its beginning gives it away."
    lesson = "If a detector compares two answers, make both of them targets, and let both be part of the success test."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        return [
            Recipe(
                name="whole sound",
                attack=ShrinkingBound(detector=False),
                loss=CTC(),
                criterion=UNFLAGGED,
                targets=DIGITS,
                role="baseline",
            )
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        if not isinstance(model, TemporalDependency):
            raise InvalidInput(f"the model is a {type(model).__name__}: this case attacks TemporalDependency")
        return [
            Recipe(
                name="whole sound, no detector",
                attack=ShrinkingBound(),
                loss=CTC(),
                criterion=Targeted(),
                targets=DIGITS,
                on=model.recogniser,
                role="control",
            ),
            Recipe(
                name="whole sound, detector in the success test",
                attack=ShrinkingBound(),
                loss=CTC(),
                criterion=UNFLAGGED,
                targets=DIGITS,
                role="intermediate",
            ),
            Recipe(
                name="whole sound and its beginnings",
                attack=ShrinkingBound(),
                loss=CTCOfBeginnings(),
                criterion=UNFLAGGED,
                targets=DIGITS,
                published=0.0,
                source=SOURCE,
            ),
        ]
