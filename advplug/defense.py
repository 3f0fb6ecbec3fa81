"""The interface of a defense plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from advplug.errors import CorruptWeights, InvalidInput, MissingWeights
from advplug.threat import ThreatModel

if TYPE_CHECKING:  # presets are shown without torch
    import torch

    from advplug.data import Images
    from advplug.model import DefendedModel


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One configuration of a defense.

    Parameters
    ----------
    summary: one line.
    data: name of the data plugin it is trained and judged on.
    threat: the threat model of the claim.
    weights: file of the shipped weights (safetensors), None where the preset ships none.
    train_split: split of the data plugin it is trained on.
    test_split: split it is judged on.
    """

    summary: str
    data: str
    threat: ThreatModel
    weights: Path | None
    train_split: str = "train"
    test_split: str = "test"


EpochCallback = Callable[[int, int, Mapping[str, float]], None]
"""Called after each epoch of training as ``on_epoch(epoch, epochs, {"loss": ..., "accuracy": ...})``."""


class Defense(ABC):
    """A defense plugin: named presets, the defended model of each, and the training that made its weights."""

    presets: ClassVar[Mapping[str, Preset]]

    @abstractmethod
    def network(self, preset: str) -> DefendedModel:
        """The untrained defended model of ``preset``, on the CPU."""

    @abstractmethod
    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train ``preset`` from scratch on ``data``; the same seed gives the same weights on the same machine."""

    def build(self, preset: str, device: torch.device | str = "cpu", weights: Path | None = None) -> DefendedModel:
        """The defended model with its shipped weights, or with those of ``weights``, in evaluation mode.

        Raises
        ------
        InvalidInput: unknown preset.
        MissingWeights: the preset ships no weights and none were given, or the file is absent.
        CorruptWeights: the file is damaged or belongs to another architecture.
        """
        path = weights or self.preset(preset).weights
        if path is None:
            raise MissingWeights(
                f"preset {preset!r} ships no weights: train it (advplug train) and pass --weights FILE"
            )
        model = self.network(preset)
        load_weights(self.trained_part(preset, model), path)
        return model.to(device).eval()

    def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
        """The part of ``model`` that :meth:`train` makes and whose weights ship: all of it, unless overridden.

        A detector around the classifier of another defense ships its statistics alone; :meth:`network` then brings the
        classifier with its weights.
        """
        return model

    def preset(self, name: str) -> Preset:
        """The preset of that name."""
        try:
            return self.presets[name]
        except KeyError:
            raise InvalidInput(f"no preset {name!r}: choose one of {', '.join(self.presets)}") from None


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file into ``model``, strictly."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingWeights(f"no weights at {path}: reinstall the plugin, or train it again")
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise CorruptWeights(f"weights {path} are damaged or belong to another network: {error}") from error
