"""Defenses whose presets differ in network and training alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch

from advplug.data import Images
from advplug.defense import Defense, EpochCallback
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.training.config import TrainingConfig
from advplug.training.fitting import fit, seeded


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What makes a preset of a :class:`ConfiguredDefense`.

    Parameters
    ----------
    network: gives the untrained model on the CPU, its weights drawn from torch's global generator.
    training: how it is trained.
    """

    network: Callable[[], DefendedModel]
    training: TrainingConfig


class ConfiguredDefense(Defense):
    """A defense whose presets differ in network and training; a subclass lists them in ``configurations``."""

    configurations: ClassVar[Mapping[str, Configuration]]

    def network(self, preset: str) -> DefendedModel:
        """The untrained model of ``preset``, its weights drawn from torch's global generator.

        Raises
        ------
        InvalidInput: unknown preset.
        """
        self.preset(preset)
        return self.configurations[preset].network()

    def initial(self, preset: str, data: Images, seed: int) -> DefendedModel:
        """:meth:`network` with weights of ``seed``: what :meth:`train` starts from, on the CPU.

        A defense whose network takes something from ``data``, such as the mean of the images, overrides it.
        """
        return seeded(seed, lambda: self.network(preset))

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train ``preset`` from scratch; see :class:`advplug.Defense`.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        model = self.initial(preset, data, seed)
        fit(model, data, self.configurations[preset].training, seed=seed, device=device, on_epoch=on_epoch)
        return model

    def trained_with(self, preset: str, **settings: Any) -> ConfiguredDefense:
        """The same defense with other settings of the training of ``preset``: what ``advplug train --set`` asks for.

        Parameters
        ----------
        settings: fields of :class:`TrainingConfig`; and as ``adversary_NAME`` those of its adversary.

        Raises
        ------
        InvalidInput: unknown preset or setting, or a value that it does not take.
        """
        self.preset(preset)
        configuration = self.configurations[preset]
        training, deep = configuration.training, "adversary_"
        own = {name: value for name, value in settings.items() if not name.startswith(deep)}
        inner = {name.removeprefix(deep): value for name, value in settings.items() if name.startswith(deep)}
        _refuse_unknown(own, training, "")
        if inner:
            if training.adversary is None:
                raise InvalidInput(f"{next(iter(inner))}: {preset} is trained without an adversary")
            _refuse_unknown(inner, training.adversary, deep)
            own["adversary"] = replace(training.adversary, **inner)  # type: ignore[type-var]
        other = copy.copy(self)
        changed = replace(configuration, training=replace(training, **own))
        other.configurations = {**self.configurations, preset: changed}  # type: ignore[misc]
        return other


def _refuse_unknown(settings: Mapping[str, Any], config: Any, before: str) -> None:
    known = [field.name for field in fields(config)]
    for name in settings:
        if name not in known:
            raise InvalidInput(f"{before}{name} is no setting of training: choose one of {', '.join(known)}")
