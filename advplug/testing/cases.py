"""What an adaptive plugin prepares for each preset of its defense, made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.defense import Defense
from advplug.errors import AdvplugError
from advplug.model import DefendedModel
from advplug.plugins.manager import Manager
from advplug.testing.defenses import Built
from advplug.testing.subject import NotApplicable, Subject
from advplug.threat import ThreatModel


@dataclass(frozen=True)
class Line:
    """The recipes for one preset; ``inputs`` (5, ...) are random images, None where their shape is not known."""

    preset: str
    threat: ThreatModel
    model: DefendedModel
    inputs: Tensor | None
    baselines: Sequence[Recipe]
    recipes: Sequence[Recipe]

    @property
    def everything(self) -> tuple[Recipe, ...]:
        """Baselines, then recipes."""
        return (*self.baselines, *self.recipes)


class Cases:
    """The presets of the broken defense that ship weights, with what ``adaptive`` has for each."""

    def __init__(self, adaptive: AdaptiveAttack, manager: Manager) -> None:
        self.adaptive = adaptive
        self.manager = manager

    @classmethod
    def of(cls, subject: Subject) -> Cases:
        """Those of the plugin under test."""
        return cls(subject.new(), subject.manager)

    @cached_property
    def built(self) -> Built:
        """The presets of the defense.

        Raises
        ------
        NotApplicable: the defense is not installed, or broken itself.
        """
        try:
            defense: Defense = self.manager.load(f"defense:{self.adaptive.breaks}")()
        except (AdvplugError, AttributeError) as error:
            raise NotApplicable("its defense is not here: see breaks_an_installed_defense") from error
        return Built(defense, self.manager)

    @cached_property
    def lines(self) -> list[Line]:
        """One for each preset with shipped weights."""
        presets, models = self.built.shipped, self.built.models
        inputs = {name: x for name, _, x in self.built.cases}
        lines = []
        for name, model in models.items():
            threat = presets[name].threat
            try:
                baselines = self.adaptive.baselines(name, threat)
                recipes = self.adaptive.recipes(name, threat, model)
            except Exception as error:
                raise NotApplicable(f"{name} has no recipes: see has_recipes_for_every_preset") from error
            lines.append(Line(name, threat, model, inputs.get(name), baselines, recipes))
        if not all(line.baselines and line.recipes for line in lines):
            raise NotApplicable("a preset has no recipes: see has_recipes_for_every_preset")
        return lines
