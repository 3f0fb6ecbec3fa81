"""The source networks of ensemble adversarial training: other presets, with their shipped weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from advplug.training import FromModels, InnerAdversary


@dataclass(frozen=True)
class FromPresets(InnerAdversary):
    """Attack the network in training or one of several trained presets, drawn for each batch (Tramer et al. 2018).

    Parameters
    ----------
    of: the adversary, as a rule of one step.
    presets: of this defense, with weights; they are loaded when the first batch needs them.
    """

    of: InnerAdversary
    presets: tuple[str, ...]

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return FromModels(self.of, _trained(self.presets))(model, x, y, generator)

    def scaled(self, share: float) -> FromPresets:
        return replace(self, of=self.of.scaled(share))

    def check(self) -> InnerAdversary:
        return self.of.check()


@cache
def _trained(presets: tuple[str, ...]) -> list[nn.Module]:
    """The networks, read once: an adversary whose budget grows is another one in every step."""
    from advplug_defense_adversarial_training._defense import AdversarialTraining  # it imports this module

    return [AdversarialTraining().build(preset) for preset in presets]
