"""Transfer from an ensemble of undefended models (Liu et al. 2017; Sharma and Chen 2018)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from advplug import load
from advplug.attack import Attack, Gateway, Problem, as_defended
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.families import Ensemble, MeanOverMembers, Network, SurrogateAttack, trained, untrained
from advplug.hyperparameters import Count, Positive
from advplug.losses import Loss
from advplug.training import TrainingConfig

Mean = Literal["losses", "logits"]
APART = 10_007
"""Between the seeds of two members, so that runs of neighbouring seeds share none."""


@dataclass(frozen=True, kw_only=True)
class Transfer(SurrogateAttack):
    """Attack an ensemble of other models; the model under attack is asked once for each sample, to judge the result.

    What counts as found on the ensemble is decided by the mean of its logits, for the ``confidence`` of an attack such
    as Carlini-Wagner and EAD too. The higher that is, the better an example transfers, up to where the attack no longer
    reaches it.

    Parameters
    ----------
    attack: what attacks the ensemble: any attack, or the name of its plugin.
    settings: hyper-parameters of an attack that is given by name.
    models: the ensemble: modules, or texts such as ``adversarial-training:mnist``, a defense plugin and its preset;
        None trains ``members`` networks on the attacker's own images and their labels.
    mean: minimise the mean of the members' ``losses``, or the loss of the mean of their ``logits``.
    members: how many networks to train.
    network: ``network(shape, classes)`` makes one of them, for inputs that come scaled to [0, 1]; None for a small
        network.
    updates: training steps of each member, rounded up to whole passes over the attacker's images.
    learning_rate: the highest of Adam; it rises to that, then falls along a cosine.
    batch_size: images of a training step.

    Raises
    ------
    InvalidInput: a setting out of its range, a model that does not fit, or an attack that runs in stages.
    """

    attack: Attack | str = "pgd"
    models: Sequence[nn.Module | str] | str | None = None
    mean: Mean = "losses"
    members: Count = 3
    network: Network | None = None
    updates: Count = 300
    learning_rate: Positive = 3e-3
    batch_size: Count = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.models is not None and len(self.models) == 0:
            raise InvalidInput("models is empty: give some, or None to train members")

    @property
    def needs_auxiliary(self) -> bool:
        return self.models is None

    def own_loss(self, loss: Loss) -> Loss:
        return MeanOverMembers(loss) if self.mean == "losses" else loss

    def own_model(self, problem: Problem, gateway: Gateway) -> Ensemble:
        members = self._trained(problem, gateway) if self.models is None else self._given(problem, gateway)
        return Ensemble(members, problem.model.num_classes, problem.threat.bounds)

    def _trained(self, problem: Problem, gateway: Gateway) -> Iterator[nn.Module]:
        """Networks of different seeds, trained on the attacker's images."""
        own = problem.own_images
        images = Images(gateway.cast(own.inputs), own.labels)
        config = TrainingConfig(
            epochs=math.ceil(self.updates / math.ceil(len(images) / self.batch_size)),
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            optimiser="adam",
        )
        for number in range(self.members):
            seed = problem.options.seed + APART * number
            yield trained(untrained(self.network, problem, seed), images, config, problem, seed)

    def _given(self, problem: Problem, gateway: Gateway) -> Iterator[nn.Module]:
        """Copies of ``models``, frozen, checked to take the inputs and to know the classes."""
        example, classes = gateway.cast(problem.inputs[:1]), problem.model.num_classes
        models = [self.models] if isinstance(self.models, str) else self.models
        for number, model in enumerate(models or []):
            one = _built(model) if isinstance(model, str) else copy.deepcopy(model)
            one = as_defended(one.to(example).requires_grad_(False).eval(), example, problem.threat.bounds)
            gives = (one.outputs, one.num_classes, tuple(one.bounds))
            wanted = ("logits", classes, tuple(problem.threat.bounds))
            if gives != wanted:
                form = "{0} of {1} classes for inputs in {2}".format
                raise InvalidInput(f"models[{number}] gives {form(*gives)}: give one with {form(*wanted)}")
            yield one


def _built(name: str) -> nn.Module:
    defense, colon, preset = name.partition(":")
    if not colon:
        raise InvalidInput(f"model {name!r}: write DEFENSE:PRESET, such as adversarial-training:mnist")
    made: nn.Module = load(f"defense:{defense}")().build(preset)
    return made
