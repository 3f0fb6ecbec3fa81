"""Attacks that search on a model of the attacker's own; the model under attack only judges what they find."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from advplug.attack import Attack, Gateway, Problem, Task
from advplug.data import Images
from advplug.engine.gateway import searchable
from advplug.engine.other_model import on_other_model
from advplug.errors import InvalidInput
from advplug.families.around import AttackAround
from advplug.families.ensemble import Ensemble
from advplug.losses import Loss
from advplug.plugins.manager import load
from advplug.training import TrainingConfig, fit, seeded

Network = Callable[[tuple[int, ...], int], nn.Module]
"""Makes an untrained classifier for inputs of the given shape, without the batch, and so many classes."""

LEAST_SIDE = 8
"""Images smaller than this go through no convolutions."""


class Prepared(NamedTuple):
    """The attacker's own model, and what the inner attack prepared on it."""

    model: Ensemble
    inner: Any


@dataclass(frozen=True, kw_only=True, repr=False)
class SurrogateAttack(AttackAround):
    """``attack`` on a model of the attacker's own, and one query for each of its results (of a random model, several).

    It goes on after its first success there, and where it has none, its best point is tried all the same. What it can
    do (norms, minimum norm, losses) is what ``attack`` can.

    Parameters
    ----------
    attack: any attack, or the name of its plugin.
    settings: hyper-parameters of an attack that is given by name.
    """

    attack: Attack | str
    settings: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.attack, Attack) and self.settings is not None:
            raise InvalidInput("settings are for an attack that is given by name: set those of this one on itself")
        _ = self.inner  # an unknown name or setting is an error now, not in the run

    @cached_property
    def inner(self) -> Attack:
        """The attack that runs on the attacker's own model."""
        return self.attack if isinstance(self.attack, Attack) else _named(self.attack, self.settings or {})

    @property
    def needs_auxiliary(self) -> bool:
        return True

    @abstractmethod
    def own_model(self, problem: Problem, gateway: Gateway) -> Ensemble:
        """The attacker's model, in evaluation mode with frozen parameters, in the dtype and on the device of the data.

        ``gateway`` as in :meth:`advplug.attack.Attack.prepare`.
        """

    def own_loss(self, loss: Loss) -> Loss:
        """What the inner attack minimises on the attacker's model, where the caller names ``loss``."""
        return loss

    def prepare(self, problem: Problem, gateway: Gateway) -> Prepared:
        if self.inner.stages(problem) is not None:
            raise InvalidInput(f"{type(self.inner).__name__} runs in stages: name one of its attacks instead")
        model = self.own_model(problem, gateway)
        own = replace(problem, model=model)
        return Prepared(model, self.inner.prepare(own, own.gateway()))

    def run(self, task: Task) -> None:
        model, prepared = task.prepared
        problem = replace(task.problem, model=model)
        loss = self.own_loss(problem.loss or self.default_loss)
        task.judge(on_other_model(task, self.inner, problem, loss=loss, prepared=prepared).points)


def trained(network: nn.Module, images: Images, config: TrainingConfig, problem: Problem, seed: int) -> nn.Module:
    """``network`` trained further on ``images``, then frozen; each epoch is reported as progress of the run."""
    report, count = problem.options.progress, len(problem.inputs)

    def progress(epoch: int, epochs: int, _: Mapping[str, float]) -> None:
        if report is not None:
            report(epoch, epochs, count)

    network.requires_grad_(True)
    fit(network, images, config, seed=seed, device=images.inputs.device, on_epoch=progress)
    return network.requires_grad_(False)


def untrained(network: Network | None, problem: Problem, seed: int) -> nn.Module:
    """A new network for the inputs of ``problem``, its weights drawn with ``seed``; it sees them scaled to [0, 1]."""
    shape, classes = tuple(problem.inputs.shape[1:]), problem.model.num_classes
    body = seeded(seed, lambda: (network or small_network)(shape, classes))
    example = searchable(problem.model, problem.inputs[:1])
    return nn.Sequential(_ToUnit(problem.threat.bounds), body).to(example)


def small_network(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Two strided convolutions and a hidden layer for images (C, H, W); two dense layers for anything else."""
    size = torch.Size(shape).numel()
    if len(shape) != 3 or min(shape[1:]) < LEAST_SIDE:
        return nn.Sequential(nn.Flatten(), nn.Linear(size, 100), nn.ReLU(), nn.Linear(100, classes))
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )


class _ToUnit(nn.Module):
    """Inputs from ``bounds`` to [0, 1], where the usual learning rates are right."""

    def __init__(self, bounds: tuple[float, float]) -> None:
        super().__init__()
        self.low, self.width = bounds[0], bounds[1] - bounds[0]

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.low) / self.width


def _named(name: str, settings: Mapping[str, Any]) -> Attack:
    try:
        made: Attack = load(f"attack:{name}")(**settings)
    except TypeError as error:
        raise InvalidInput(f"settings of {name}: {error}") from error
    return made
