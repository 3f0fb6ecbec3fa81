"""How ensembles trained to be diverse are broken (Tramer et al. 2020, appendix H)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_defense_adp import ADP

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.interop.foolbox import FoolboxAttack
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug_adaptive_adp._sequence import DescentThenBoundary

FOOLBOX = "foolbox"
CONTROL = "-plain"
CLAIM = "Pang et al. 2019, CIFAR-10, linf 0.02"
BREAK = "Tramer et al. 2020, appendix H, CIFAR-10, linf 0.01"
RESTARTS = 3


class BreakADP(AdaptiveAttack):
    """The gradients of the ensemble are usable; its authors' attacks stop too soon.

    Baselines: PGD and BIM of 10 steps of a tenth of the budget, as the defense's authors ran them, and the 40 steps
    that Foolbox has by default. All take the mean probabilities for logits.
    """

    breaks = "adp"
    claim = "Three networks trained to differ in all but the true class keep 48.4 % at linf 0.01, 30.4 % at 0.02."
    lesson = "Steps that add up to the budget once do not converge: take more, restart, and try a different attack."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        authors = {"steps": 10, "abs_stepsize": threat.budget / 10}
        published = 0.304 if preset == "cifar10" else None
        return [
            Recipe(
                name="PGD-10, authors' step",
                attack=FoolboxAttack("LinfPGD", authors),
                role="baseline",
                library=FOOLBOX,
                published=published,
                source=CLAIM,
            ),
            Recipe(
                name="BIM-10, authors' step",
                attack=FoolboxAttack("LinfBasicIterativeAttack", authors),
                role="baseline",
                library=FOOLBOX,
            ),
            Recipe(name="PGD-40, default step", attack=FoolboxAttack("LinfPGD"), role="baseline", library=FOOLBOX),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        step = threat.budget / 10
        colour = "mnist" not in preset
        converged = PGD(steps=250, step_size=step)
        steps = [
            Recipe(
                name=f"PGD-{count}",
                attack=replace(converged, steps=count),
                role="intermediate",
                published=published if colour else None,
                source=BREAK,
            )
            for count, published in ((10, None), (50, 0.2), (250, 0.1))
        ]
        restarted = replace(
            steps[-1], name=f"PGD-250, {RESTARTS} restarts", restarts=RESTARTS, published=0.07 if colour else None
        )
        return [
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            *self._control(preset, restarted),
            *steps,
            restarted,
            Recipe(
                name="the same, then Brendel & Bethge",
                attack=DescentThenBoundary(steps=converged.steps, step_size=step, restarts=RESTARTS),
                published=0.0 if colour else None,
                source=BREAK,
            ),
        ]

    def _control(self, preset: str, attack: Recipe) -> list[Recipe]:
        """The attack on the same networks without the reward for diversity, where a preset has them."""
        plain = ADP.presets.get(preset + CONTROL)
        if plain is None:
            return []
        on = ADP().build(preset + CONTROL)
        return [replace(attack, name="trained without diversity", role="control", on=on, published=None, source=None)]
