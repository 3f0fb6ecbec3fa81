"""How defensive distillation is broken (Carlini and Wagner 2016; Sharma 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advplug_attack_cw import CarliniWagnerLinf
from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_attack_transfer import Transfer
from advplug_defense_distillation import Distillation

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import Margin, TemperedCrossEntropy
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
BREAK = "Sharma 2018, figure 7: C&W and EAD on the logits, smallest perturbation, every T from 1 to 100"
CONTROL = "-plain"
KAPPAS = (0, 10, 30)
PGD_100 = PGD(steps=100)


class BreakDistillation(AdaptiveAttack):
    """Logits that were trained at temperature T are T times too far apart at temperature 1; their order is as usual.

    Baselines: FGSM and PGD on the cross-entropy at the defaults of both libraries. Intermediate attacks transfer what
    Carlini-Wagner finds on the undefended network, with more and more confidence kappa, or divide the logits by T.
    """

    breaks = "distillation"
    claim = "Training on soft labels at a high temperature lowers the success of attacks on digits to below 0.5 %."
    lesson = "A saturated softmax hides the gradient of one loss: attack the logits, or divide them by the temperature."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        attacks: list[tuple[str, str, Attack]] = [
            ("FGSM", FOOLBOX, FoolboxAttack("LinfFastGradientAttack")),
            ("FGSM", ART, ArtAttack("FastGradientMethod")),
            ("PGD, defaults", FOOLBOX, FoolboxAttack("LinfPGD")),
            ("PGD, defaults", ART, ArtAttack("ProjectedGradientDescent")),
        ]
        return [Recipe(name=name, attack=attack, role="baseline", library=library) for name, library, attack in attacks]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        margin = Recipe(name="PGD-100, margin", attack=PGD_100, loss=Margin(), published=0.0, source=BREAK)
        return [
            *self._undefended(preset, margin),
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            Recipe(name="PGD-100, cross-entropy", attack=PGD_100, role="intermediate"),
            Recipe(name="PGD-100, logits / 100", attack=PGD_100, loss=TemperedCrossEntropy(100), role="intermediate"),
            Recipe(
                name="Carlini-Wagner Linf",
                attack=CarliniWagnerLinf(),
                role="intermediate",
                published=0.0,
                source=BREAK,
            ),
            margin,
        ]

    def _undefended(self, preset: str, margin: Recipe) -> list[Recipe]:
        """Control and transfer, where an undefended network of the same architecture ships."""
        plain = f"{preset.partition('-')[0]}{CONTROL}"
        if plain not in Distillation.presets or plain == preset:
            return []
        alone = Distillation().build(plain)
        return [
            replace(margin, name="undefended network", role="control", on=alone, published=None, source=None),
            *(
                Recipe(
                    name=f"transfer of Carlini-Wagner, kappa {kappa}",
                    attack=Transfer(attack=CarliniWagnerLinf(confidence=kappa), models=f"{self.breaks}:{plain}"),
                    role="intermediate",
                )
                for kappa in KAPPAS
            ),
        ]
