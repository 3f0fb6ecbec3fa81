"""How ME-Net is attacked (Tramer et al. 2020, appendix L)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_defense_me_net import Bare, Masked

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.gradients import EOT
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
CLAIM = "Yang et al. 2019 as reproduced by Tramer et al. 2020, CIFAR-10, linf 8/255"
BREAK = "Tramer et al. 2020, appendix L, CIFAR-10, linf 8/255"
CONTROL = "-base"
MASKS = 40
"""Masks over which each gradient is averaged."""


class BreakMENet(AdaptiveAttack):
    """A gradient under one mask is that of other pixels than those of the next mask: average over many of them.

    Baselines: PGD of 40 steps of a quarter of the budget (2/255 for 8/255), in both libraries. As in the evaluation of
    the defense's authors, it goes through one mask in each step and takes the pre-processing for the identity.
    """

    breaks = "me-net"
    claim = "Estimating an image from half of its values destroys perturbations: 35 % under PGD at linf 8/255."
    lesson = "Average gradients over all of a defense's randomness, and measure what its network keeps without it."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget / 4
        attacks: dict[str, Attack] = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": 40, "abs_stepsize": step}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": 40, "eps_step": step, "num_random_init": 1}),
        }
        return [
            Recipe(
                name="PGD-40, authors' step",
                attack=attack,
                role="baseline",
                library=library,
                published=None if preset.endswith(CONTROL) else 0.35,
                source=CLAIM,
            )
            for library, attack in attacks.items()
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        pgd = PGD(steps=50, step_size=threat.budget / 10)
        alone = Recipe(
            name="PGD-50 on the network alone",
            attack=pgd,
            published=0.1,
            source=f"{BREAK}, at least",
        )
        if not isinstance(model, Masked):
            return [alone]
        return [
            replace(alone, role="control", on=Bare(model.base)),
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            Recipe(name="PGD-50, one mask a step", attack=pgd, role="intermediate"),
            Recipe(
                name=f"PGD-50, EOT over {MASKS} masks",
                attack=pgd,
                gradient=EOT(MASKS),
                published=0.15,
                source=BREAK,
            ),
        ]
