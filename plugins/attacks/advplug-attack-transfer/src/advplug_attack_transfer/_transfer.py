"""Transfer from an ensemble of undefended models (Liu et al. 2017; Sharma and Chen 2018)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from torch import nn

from advplug import load
from advplug.attack import Attack, Oracle, Problem, as_defended
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.families import Ensemble, MeanOverMembers, Network, SurrogateAttack, points, trained, untrained
from advplug.losses import Loss
from advplug.training import Recipe

Mean = Literal["losses", "logits"]
APART = 10_007
"""Between the seeds of two members, so that runs of neighbouring seeds share none."""


class Transfer(SurrogateAttack):
    """Attack an ensemble of other models; the model under attack is asked once for each sample, to judge the result.

    What counts as found on the ensemble is decided by the mean of its logits, for the confidence of an attack too
    (``kappa`` of Carlini-Wagner and EAD). The higher that is, the better an example transfers, up to where the attack
    no longer reaches it.

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
    rate: the highest of Adam; it rises to that, then falls along a cosine.
    batch: images of a training step.

    Raises
    ------
    InvalidInput: a setting out of its range, a model that does not fit, or an attack that runs in stages.
    """

    def __init__(
        self,
        *,
        attack: Attack | str = "pgd",
        settings: Mapping[str, Any] | None = None,
        models: Sequence[nn.Module | str] | str | None = None,
        mean: Mean = "losses",
        members: int = 3,
        network: Network | None = None,
        updates: int = 300,
        rate: float = 3e-3,
        batch: int = 128,
    ) -> None:
        super().__init__(attack, settings)
        if models is not None and len(models) == 0:
            raise InvalidInput("models is empty: give some, or None to train members")
        if mean not in get_args(Mean):
            raise InvalidInput(f"mean {mean!r}: choose one of {', '.join(get_args(Mean))}")
        if min(members, updates, batch) < 1:
            raise InvalidInput(f"members {members}, updates {updates}, batch {batch}: give at least 1 of each")
        if not 0 < rate < math.inf:
            raise InvalidInput(f"rate {rate}: give a positive number")
        self.models = models
        self.mean = mean
        self.members = members
        self.network = network
        self.updates = updates
        self.rate = rate
        self.batch = batch
        self.needs_auxiliary = models is None  # type: ignore[misc]

    def own_loss(self, loss: Loss) -> Loss:
        return MeanOverMembers(loss) if self.mean == "losses" else loss

    def own_model(self, problem: Problem, oracle: Oracle) -> Ensemble:
        members = self._trained(problem) if self.models is None else self._given(problem)
        return Ensemble(list(members), problem.model.num_classes, problem.threat.bounds)

    def _trained(self, problem: Problem) -> Iterator[nn.Module]:
        assert problem.auxiliary is not None
        images = Images(points(problem.auxiliary.inputs, problem), problem.auxiliary.labels)
        epochs = math.ceil(self.updates / math.ceil(len(images) / self.batch))
        recipe = Recipe(epochs=epochs, rate=self.rate, batch=self.batch, optimiser="adam")
        for number in range(self.members):
            seed = problem.options.seed + APART * number
            yield trained(untrained(self.network, problem, seed), images, recipe, problem, seed)

    def _given(self, problem: Problem) -> Iterator[nn.Module]:
        """Copies of ``models``, frozen, checked to take the inputs and to know the classes."""
        example, classes = points(problem.inputs[:1], problem), problem.model.num_classes
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
