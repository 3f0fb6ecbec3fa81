"""The model of a finished evaluation, for figures that measure something on it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from advplug.defense import Defense
from advplug.model import DefendedModel
from advplug.plugins.manager import load
from advplug.records.evaluation import Evaluation


class Rebuilt(NamedTuple):
    """A model and the samples that were attacked, on the CPU.

    Parameters
    ----------
    model: with its shipped weights, frozen, in evaluation mode.
    inputs, labels: float32 (N, ...) and int64 (N,); they share the memory of the evaluation's arrays.
    """

    model: DefendedModel
    inputs: Tensor
    labels: Tensor


def rebuilt(evaluation: Evaluation, defense: str, preset: str | None = None) -> Rebuilt | None:
    """Build ``defense`` as it was evaluated; None where the evaluation names no preset that ships weights.

    Parameters
    ----------
    preset: another preset than the evaluated one, for a comparison on the same samples.

    Raises
    ------
    UnknownPlugin, BrokenPlugin: the defense is not to be had.
    MissingWeights, CorruptWeights: its shipped weights are absent or damaged.
    """
    plugin: Defense = load(f"defense:{defense}")()
    name = preset or evaluation.preset or ""
    if name not in plugin.presets or plugin.presets[name].weights is None:
        return None
    model = plugin.build(name).requires_grad_(False)
    return Rebuilt(model, torch.from_numpy(evaluation.inputs), torch.from_numpy(evaluation.labels))
