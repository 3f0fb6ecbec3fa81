"""Distillation: a teacher, its soft labels, and a student of the same architecture."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from advplug.data import Images
from advplug.defense import EpochCallback
from advplug.model import DefendedModel
from advplug.training import Tempered, TrainingConfig, cross_entropy, fit


def distilled(
    first: DefendedModel,
    data: Images,
    training: TrainingConfig,
    softened: Tempered,
    *,
    seed: int,
    device: torch.device | str,
    on_epoch: EpochCallback,
) -> DefendedModel:
    """The student (Papernot et al. 2016, section IV), for use at temperature 1.

    Parameters
    ----------
    first: the untrained network. One plain epoch makes of it the weights that teacher and student start from, as in the
        code of Carlini and Wagner (2017): at a high temperature gradients are too small to leave random weights.
    data: what both are trained on.
    training: how, apart from the loss.
    softened: the loss of both, with the temperature of the soft labels.
    seed, device, on_epoch: see :func:`advplug.training.fit`; epochs of the three trainings are counted as one.
    """
    total, done = 1 + 2 * training.epochs, 0

    def train(model: DefendedModel, how: TrainingConfig, soft_labels: torch.Tensor | None = None) -> DefendedModel:
        nonlocal done
        before = done
        fit(
            model,
            data,
            how,
            seed=seed,
            device=device,
            on_epoch=lambda epoch, _, metrics: on_epoch(before + epoch, total, metrics),
            soft_labels=soft_labels,
        )
        done += how.epochs
        return model

    start = train(first, replace(training, epochs=1, loss=cross_entropy))
    how = replace(training, loss=softened)
    teacher = train(copy.deepcopy(start), how)
    return train(start, how, softened.answers(teacher, data))
