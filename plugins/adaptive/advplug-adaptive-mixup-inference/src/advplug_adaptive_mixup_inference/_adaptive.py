"""How mixup inference falls back to the network under it (Tramer et al. 2020, appendix K)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_attack_transfer import Transfer
from advplug_defense_mixup_inference import Mixing, Unmixed

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.families import AveragedPerturbation
from advplug.gradients import EOT
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
CLAIM = "Pang et al. 2020, CIFAR-10, interpolated adversarial training, linf 8/255"
BREAK = "Tramer et al. 2020, appendix K, CIFAR-10, linf 8/255"
CONTROL = "-base"
AUTHORS_DRAWS = 30
DRAWS = 4
"""Answers whose gradients are averaged in each step; every answer has fifteen mixtures of its own."""


class BreakMixupInference(AdaptiveAttack):
    """Mixing scales a perturbation down and moves the input; an attack that sees both steers around them.

    Baselines: the authors' PGD of 10 steps (2/255 for a budget of 8/255), which does not know of the mixing, in both
    libraries; then what they call adaptive, the mean of the perturbations of several such runs, each against one
    mixture. What PGD leaves of the network without the mixing is all that there is to lose: a row of the table, and
    the presets that end in ``-base``.
    """

    breaks = "mixup-inference"
    claim = "Answers averaged over mixtures with other images keep 63 %, and 57 % under the authors' adaptive attack."
    lesson = "Average gradients inside the attack, not the results of attacks: mixing then adds little to its network."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget / 4
        attacks: dict[str, Attack] = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": 10, "abs_stepsize": step}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": 10, "eps_step": step, "num_random_init": 1}),
        }
        if preset.endswith(CONTROL):
            return [
                Recipe(name="PGD-10", attack=attack, role="baseline", library=library)
                for library, attack in attacks.items()
            ]
        alone = f"{self.breaks}:{preset}{CONTROL}"
        return [
            *(
                Recipe(
                    name="PGD-10 on the network alone",
                    attack=Transfer(attack=attack, models=alone),
                    role="baseline",
                    library=library,
                    published=_published(preset, 0.634),
                    source=CLAIM,
                )
                for library, attack in attacks.items()
            ),
            Recipe(
                name=f"mean of {AUTHORS_DRAWS} perturbations",
                attack=AveragedPerturbation(attack=attacks[FOOLBOX], draws=AUTHORS_DRAWS),
                role="baseline",
                library=FOOLBOX,
                published=_published(preset, 0.57),
                source=CLAIM,
            ),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        step = threat.budget / 8
        alone = Recipe(
            name="PGD-50 on the network alone",
            attack=PGD(steps=50, step_size=step),
            published=_published(preset, 0.425),
            source=f"{BREAK}, without the defense",
        )
        if preset.endswith(CONTROL):
            return [alone]
        assert isinstance(model, Mixing), "every other preset mixes"
        return [
            replace(alone, role="control", on=Unmixed(model.base)),
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            Recipe(
                name="PGD-50 through the mixing",
                attack=FoolboxAttack("LinfPGD", {"steps": 50, "abs_stepsize": step}),
                role="intermediate",
                library=FOOLBOX,
                published=_published(preset, 0.439),
                source=BREAK,
            ),
            Recipe(
                name=f"margin through the mixing, EOT({DRAWS})",
                attack=PGD(steps=50, step_size=step),
                loss=Margin(),
                gradient=EOT(DRAWS),
                published=_published(preset, 0.439),
                source=BREAK,
            ),
        ]


def _published(preset: str, figure: float) -> float | None:
    """The figures are those of interpolated adversarial training; of networks of mixup alone none were broken."""
    return figure if "-iat" in preset else None
