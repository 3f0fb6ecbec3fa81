"""How deep generative classifiers are attacked (Tramer et al. 2020, appendix D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_defense_generative import GBZ, FixedNoise

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.families import Lookalike
from advplug.gradients import BPDA, EOT, Selective
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import Logit, Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
BREAK = "Tramer et al. 2020, appendix D, MNIST, linf 0.3"
STEP = 0.01
"""The authors' step, whatever the budget."""

DRAWS = 2
"""Answers over which a gradient is averaged; each has ten latent samples of its own."""

RESTARTS = 3


class BreakGenerative(AdaptiveAttack):
    """Of the four terms of a score one decides; what attacks on it, or on the whole score, leave is noise.

    Baselines: the authors' attacks under Linf at their settings, FGSM and PGD of 40 steps in Foolbox, MIM of 100 steps
    in ART. Their attack of Carlini and Wagner minimises the L2 norm and knows no such budget.

    No network is left without the defense, so that there is no control. Two attempts stand in for it: random points,
    which find out how noisy the answers are, and the same attack while the noise is fixed.
    """

    breaks = "generative"
    claim = "Attacks of any budget do not bring accuracy to zero, and the detector rejects most of what they find."
    lesson = "Average over the noise, then fix the noise: what an attack leaves of a random model may be luck."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        return [
            Recipe(name="FGSM", attack=FoolboxAttack("LinfFastGradientAttack"), role="baseline", library=FOOLBOX),
            Recipe(
                name="PGD-40, authors' step",
                attack=FoolboxAttack("LinfPGD", {"steps": 40, "abs_stepsize": STEP}),
                role="baseline",
                library=FOOLBOX,
            ),
            Recipe(
                name="MIM-100, authors' step",
                attack=ArtAttack("MomentumIterativeMethod", {"max_iter": 100, "eps_step": STEP}),
                role="baseline",
                library=ART,
            ),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        assert isinstance(model, GBZ), "every preset is a generative classifier"
        matching = PGD(steps=100, step_size=4 * threat.budget / 100)
        short = PGD(steps=50, step_size=threat.budget / 10)
        label = Recipe(
            name="label term, one draw", attack=short, loss=Logit(), gradient=BPDA(), role="intermediate", source=BREAK
        )
        return [
            Recipe(
                name="100 random points",
                attack=FoolboxAttack("LinfRepeatedAdditiveUniformNoiseAttack", {"repeats": 100}),
                role="intermediate",
                library=FOOLBOX,
            ),
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            *(
                Recipe(
                    name=f"{name} of a clean digit",
                    attack=matching,
                    loss=Lookalike(layer=layer),
                    role="intermediate",
                    published=0.1,
                    source=BREAK,
                )
                for name, layer in (("features", "features"), ("decoded logits", "joint.decoded"))
            ),
            Recipe(
                name="divergence once fooled", attack=short, loss=Margin(), gradient=Selective(), role="intermediate"
            ),
            label,
            replace(
                label,
                name=f"label term, fixed noise, {RESTARTS} restarts",
                attack=matching,
                restarts=RESTARTS,
                on=FixedNoise(model).eval(),
                published=0.0,
            ),
            replace(label, name=f"label term, EOT({DRAWS})", gradient=BPDA(EOT(DRAWS)), published=0.1),
            Recipe(
                name=f"whole score, momentum, EOT({DRAWS})",
                attack=PGD(steps=100, step_size=threat.budget / 30, momentum=1.0, random_start=False, judge="last"),
                gradient=EOT(DRAWS),
                published=0.1,
                source=BREAK,
            ),
        ]
