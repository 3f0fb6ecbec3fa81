"""How ensembles of mixed precision are broken (Tramer et al. 2020, appendix I)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard
from advplug_defense_empir import FullPrecision, MixedPrecision, TrueDerivative

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.attack import Attack
from advplug.families import AtLogProbabilities
from advplug.gradients import BPDA
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"
CONTROL = "-single"
CLAIMS = {
    "mnist": (0.1751, 0.01 / 0.3, "Sen et al. 2020, MNIST, linf 0.3"),
    "cifar10": (0.1355, 0.01 / 0.1, "Sen et al. 2020, CIFAR-10, linf 0.1"),
}
"""Of each data set: the accuracy under PGD, the step as a share of the budget, and where they stand."""
BREAK = "Tramer et al. 2020, appendix I, CIFAR-10, linf 0.031"
RESTARTS = 5


class BreakEMPIR(AdaptiveAttack):
    """No member is robust, and a vote of such members is not either: PGD on their mean, run to its end, breaks it.

    Baselines: PGD of 40 steps as the defense's authors ran it, on the mean probability of the members that agree with
    the vote, of which the cross-entropy takes softmax a second time; in both libraries.
    """

    breaks = "empir"
    claim = "The vote of two networks of few bits and one of full precision keeps 13.6 % accuracy at linf 0.1."
    lesson = "A vote of weak networks is weak: PGD on the mean of all members breaks it once it has converged."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        figure, share, source = CLAIMS["mnist" if "mnist" in preset else "cifar10"]
        step = threat.budget * share
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
                published=None if preset.endswith(CONTROL) else figure,
                source=source,
            )
            for library, attack in attacks.items()
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        # The paper names no step. Shorter ones stop on the plateaus that rounding makes of digits.
        pgd = PGD(steps=100, step_size=threat.budget / 10)
        if not isinstance(model, MixedPrecision):
            return [Recipe(name="PGD-100", attack=pgd)]
        logarithm = AtLogProbabilities()
        mean_of_all = Recipe(
            name="log of the mean",
            attack=pgd,
            loss=logarithm,
            gradient=BPDA(),
            role="intermediate",
            published=None if "mnist" in preset else 0.015,
            source=BREAK,
        )
        alone, plain = FullPrecision(model.members, model.num_classes), TrueDerivative(model)
        return [
            Recipe(name="full precision alone", attack=pgd, role="control", on=alone),
            Recipe(name="derivative of rounding", attack=pgd, role="intermediate", on=plain),
            Recipe(name="members that agree", attack=pgd, role="intermediate"),
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            mean_of_all,
            replace(mean_of_all, name=f"log of the mean, {RESTARTS} restarts", restarts=RESTARTS, role="adaptive"),
        ]
