"""The defended models of a defense plugin, built once, with random images of the right shape."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from advplug.data import Dataset
from advplug.defense import Defense, Preset
from advplug.errors import DataUnavailable
from advplug.model import DefendedModel
from advplug.plugins.manager import Manager
from advplug.testing.offline import offline, some_images
from advplug.testing.subject import NotApplicable, Subject


class Built:
    """The presets of ``defense`` that ship weights; ``manager`` finds their data."""

    def __init__(self, defense: Defense, manager: Manager) -> None:
        self.defense = defense
        self.manager = manager

    @classmethod
    def of(cls, subject: Subject) -> Built:
        """Those of the plugin under test."""
        return cls(subject.new(), subject.manager)

    @property
    def shipped(self) -> Mapping[str, Preset]:
        """Presets with shipped weights, at least one.

        Raises
        ------
        NotApplicable: there is none.
        """
        presets = {name: preset for name, preset in self.defense.presets.items() if preset.weights is not None}
        if not presets:
            raise NotApplicable("no preset ships weights")
        return presets

    @cached_property
    def models(self) -> Mapping[str, DefendedModel]:
        """The model of each shipped preset, but for those that hold images which are not on this machine."""
        models = {}
        with offline():
            for name in self.shipped:
                try:
                    models[name] = self.defense.build(name)
                except DataUnavailable:
                    continue
                except Exception as error:
                    raise NotApplicable("a preset cannot be built: see builds_shipped_presets") from error
        if not models:
            raise NotApplicable("every preset holds images that are not on this machine")
        if not all(isinstance(model, DefendedModel) for model in models.values()):
            raise NotApplicable("a preset builds something else: see builds_shipped_presets")
        return models

    @cached_property
    def cases(self) -> list[tuple[str, DefendedModel, Tensor]]:
        """Name, model and 5 random inputs of each shipped preset whose image shape is known."""
        cases = []
        for name, model in self.models.items():
            shape = self.shape(self.shipped[name])
            if shape is not None:
                low, high = model.bounds
                noise = torch.rand(5, *shape, generator=torch.Generator().manual_seed(0))
                cases.append((name, model, low + (high - low) * noise))
        if not cases:
            raise NotApplicable("the shape of no preset's images is known: see judged_on_known_data")
        return cases

    def shape(self, preset: Preset) -> tuple[int, ...] | None:
        """Shape of one image of its data; None if the data plugin is not here or does not tell."""
        key = f"data:{preset.data}"
        if key not in {spec.key for spec in self.manager.specs("data")}:
            return None
        dataset: Dataset = self.manager.load(key)()
        try:
            return dataset.shape or tuple(some_images(dataset, 1)[1].inputs.shape[1:])
        except NotApplicable:
            return None
