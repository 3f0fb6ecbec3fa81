"""How recovery by a sparse Fourier transform is broken (Tramer et al. 2020, appendix E)."""

from __future__ import annotations

from collections.abc import Sequence

from advplug_attack_cw import CarliniWagnerL0
from advplug_attack_sparse import SigmaZero
from advplug_attack_transfer import Transfer
from advplug_defense_sparse_fourier import Recovered, Unrecovered

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.interop.art import ArtAttack
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

ART = "adversarial-robustness-toolbox"
CLAIM = "Bafna et al. 2018, MNIST, at most 55 pixels (Tramer et al. 2020, appendix E)"
BREAK = "Tramer et al. 2020, appendix E, MNIST, a median of 14.8 pixels"
CONTROL = "-base"
STEPS = 500
"""Of every search; on 30 digits, twice as many leave the median as it is."""


class BreakSparseFourier(AdaptiveAttack):
    """The recovery is a sum of products and maxima: an attack through it needs nothing but its derivative.

    Baselines: the authors' evaluation, the L0 attack of Carlini and Wagner and saliency maps on the network alone,
    whose results the recovery is then given. The control says how many pixels that network needs without it.
    """

    breaks = "sparse-fourier"
    claim = "A sparse Fourier transform recovers what few pixels hide: over 75 % accuracy at 55 changed pixels."
    lesson = "Attack the pipeline as it is deployed: what was found on the network alone says nothing of it."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        attacks: list[tuple[str, str, Attack]] = [
            ("Carlini-Wagner L0", "advplug", CarliniWagnerL0(steps=STEPS)),
            ("saliency maps", ART, ArtAttack("SaliencyMapMethod", {"theta": 1.0, "batch_size": 128})),
        ]
        if preset.endswith(CONTROL):
            return [Recipe(name=name, attack=attack, role="baseline", library=of) for name, of, attack in attacks]
        return [
            Recipe(
                name=f"{name} on the network alone",
                attack=Transfer(attack=attack, models=f"{self.breaks}:{preset}{CONTROL}"),
                role="baseline",
                library=library,
                published=0.75 if preset == "mnist" else None,
                source=CLAIM,
            )
            for name, library, attack in attacks
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        attack = CarliniWagnerL0(steps=STEPS)
        if not isinstance(model, Recovered):
            return [Recipe(name="Carlini-Wagner L0, each step", attack=attack)]
        alone = Unrecovered(model.recovery, model.base, model.num_classes)
        return [
            Recipe(name="Carlini-Wagner L0, network alone", attack=attack, role="control", on=alone),
            Recipe(name="sigma-zero through the recovery", attack=SigmaZero(steps=STEPS), role="intermediate"),
            Recipe(
                name="Carlini-Wagner L0 through the recovery",
                attack=attack,
                published=0.0 if preset == "mnist" else None,
                source=BREAK,
            ),
        ]
