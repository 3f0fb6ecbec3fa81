"""Adaptive attacks: a sound one, and for every check one that fails it. ``BAD`` has them by the name of the check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import eagerpy as ep
from advplug_attack_pgd import PGD

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.engine.task import Task
from advplug.losses import Loss, View
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from badplugins.attacks import Good as Attack

BASELINE = Recipe(name="one step", attack=Attack(steps=1), role="baseline")
ADAPTIVE = Recipe(name="ten steps", attack=Attack())
BEFORE = Recipe(name="five steps", attack=Attack(steps=5), role="intermediate")


class Good(AdaptiveAttack):
    """More steps."""

    breaks = "net"
    claim = "One step of gradient descent leaves 50.0 % (Doe et al. 2020)."
    lesson = "Take more steps."
    before: Sequence[Recipe] = ()

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        return [BASELINE]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        return [*self.before, ADAPTIVE]


class BreaksSomethingElse(Good):
    breaks = "other"


class HasNoBaseline(Good):
    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        return []


class UsesUndeclaredAttack(Good):
    before = (replace(BEFORE, attack=PGD(steps=2)),)


class NamesTwice(Good):
    before = (replace(BEFORE, name=ADAPTIVE.name),)


class IsAdaptiveTwice(Good):
    before = (replace(BEFORE, role="adaptive"),)


class HidesItsSource(Good):
    before = (replace(BEFORE, published=0.5),)


class SaysTooMuch(Good):
    claim = "It withstands every attack. Nobody has broken it."


class OnlyL2(Attack):
    norms = ("l2",)


class LeavesTheThreat(Good):
    before = (replace(BEFORE, attack=OnlyL2()),)


class MeanLoss(Loss):
    def __call__(self, view: View) -> ep.Tensor:
        return view.logits.mean()


class Averages(Good):
    before = (replace(BEFORE, loss=MeanLoss()),)


class Stands(Attack):
    def run(self, task: Task) -> None:
        task.evaluate(task.inputs)


class IsWeaker(Good):
    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        return [replace(ADAPTIVE, attack=Stands())]


BAD = {
    "breaks_an_installed_defense": BreaksSomethingElse,
    "uses_installed_attacks": Good,  # whose spec drives an attack that nobody has
    "drives_what_it_uses": UsesUndeclaredAttack,
    "has_recipes_for_every_preset": HasNoBaseline,
    "recipes_have_different_names": NamesTwice,
    "last_recipe_alone_is_adaptive": IsAdaptiveTwice,
    "published_figures_have_a_source": HidesItsSource,
    "claim_and_lesson_are_one_sentence": SaysTooMuch,
    "attacks_fit_the_threat": LeavesTheThreat,
    "losses_have_gradients": Averages,
    "breaks_more_than_the_baselines": IsWeaker,
}
DRIVES = {"uses_installed_attacks": ("attack-that-nobody-has",)}
TAGS: dict[str, set[str]] = {}
