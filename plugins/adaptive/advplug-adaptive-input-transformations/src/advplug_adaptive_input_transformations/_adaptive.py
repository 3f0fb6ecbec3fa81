"""How transformations of the input are passed (Athalye, Carlini and Wagner 2018, sections 4.1, 4.2 and 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_attack_transfer import Transfer
from advplug_defense_input_transformations import InputTransformed

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.gradients import BPDA, EOT, Exact, GradientEstimator
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
BREAK = "Athalye et al. 2018, section 5.3, ImageNet, ResNet-50, L2 of 0.05 per value (root mean square)"
BROKEN = ("bits", "jpeg", "crop", "tv", "quilting")
"""Transformations of the paper, of each of which the attack leaves nothing."""

DRAWS, SLOW_DRAWS = 10, 2
"""Draws for each gradient; fewer where one takes long, or averages itself."""

SLOW = ("crop", "tv", "quilting")


class BreakInputTransformations(AdaptiveAttack):
    """A transformation moves the image a little: the gradient behind it is that of the image, nearly.

    Baselines: PGD on the network alone, whose results the transformation then changes. So the defense was judged: the
    attacker did not know of it.
    """

    breaks = "input-transformations"
    claim = "JPEG, total variation, quilting and random crops remove from an image what an attacker has added."
    lesson = "Put a stand-in where there is no gradient, and average over what is random."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        step = threat.budget / 10
        attacks: dict[str, Attack] = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": 40, "abs_stepsize": step}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": 40, "eps_step": step, "num_random_init": 1}),
        }
        alone = f"adversarial-training:{preset.partition('-')[0]}"
        return [
            Recipe(
                name="oblivious: PGD-40 on the network alone",
                attack=Transfer(attack=attack, models=alone),
                role="baseline",
                library=library,
            )
            for library, attack in attacks.items()
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        assert isinstance(model, InputTransformed), "every preset transforms"
        pgd = PGD(steps=40, step_size=threat.budget / 10)
        transformation = preset.partition("-")[2].removesuffix("-retrained")
        once: GradientEstimator = Exact() if _is_differentiable(model) else BPDA()
        draws = SLOW_DRAWS if transformation in SLOW else DRAWS
        through = "exact gradient" if _is_differentiable(model) else "BPDA"
        published = 0.0 if transformation in BROKEN else None
        recipes = [
            Recipe(name="PGD-40 on the network alone", attack=pgd, role="control", on=model.classifier),
            Recipe(name="standard", attack=Standard(), role="intermediate"),
        ]
        if model.stochastic:
            recipes.append(Recipe(name=f"{through}, one draw", attack=pgd, gradient=once, role="intermediate"))
            # Averaged gradients are still noisy: the last row takes more steps.
            pgd = replace(pgd, steps=40 if transformation in SLOW else 100)
        recipes.append(
            Recipe(
                name=f"{through}, EOT({draws}), margin" if model.stochastic else f"{through}, margin",
                attack=pgd,
                loss=Margin(),
                gradient=EOT(draws, of=once) if model.stochastic else once,
                published=published,
                source=None if published is None else BREAK,
            )
        )
        return recipes


def _is_differentiable(model: InputTransformed) -> bool:
    return all(one.differentiable for one in model.transformations)
