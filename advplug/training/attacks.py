"""Any attack plugin as the adversary of training, in its loop or before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.criteria import Anything
from advplug.data import Images
from advplug.engine.problem import Options, make_problem
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.threat import ThreatModel, as_threat
from advplug.training.adversary import InnerAdversary


@dataclass(frozen=True, kw_only=True)
class AttackAdversary(InnerAdversary):
    """An attack, run by the engine on every batch.

    It returns the point of least loss for the attacker within the budget, whether it is misclassified or not. An image
    that the network gets wrong already stays as it is: it needs no adversary. The network is attacked in evaluation
    mode, with the statistics of batch normalisation as they are.

    Parameters
    ----------
    attack: any attack plugin that works within a budget; few steps, as each batch runs it once.
    threat: norm and budget, a ThreatModel or text such as ``"linf:8/255"``.
    loss, gradient: as in :func:`advplug.run`.

    Raises
    ------
    InvalidInput: no budget, or a norm under which the attack does not work.
    """

    attack: Attack
    threat: ThreatModel | str
    loss: Loss | None = None
    gradient: GradientEstimator | None = None

    def __post_init__(self) -> None:
        threat = as_threat(self.threat)
        object.__setattr__(self, "threat", threat)
        if threat.epsilon is None:
            raise InvalidInput(f"{threat.norm}:min has no budget: give training one, such as {threat.norm}:0.1")
        if threat.norm not in self.attack.norms:
            name, norms = type(self.attack).__name__, ", ".join(self.attack.norms)
            raise InvalidInput(f"{name} does not work under {threat.norm}: choose {norms}")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        seed = int(torch.randint(2**31, (), generator=generator))
        problem = make_problem(
            model,
            x,
            y,
            self.threat,
            loss=self.loss,
            gradient=self.gradient,
            criterion=Anything(),
            options=Options(seed=seed, early_end=False),
        )
        return run_attack(self.attack, problem).adversarials

    def scaled(self, share: float) -> AttackAdversary:
        threat = as_threat(self.threat)
        assert threat.epsilon is not None
        return replace(self, threat=replace(threat, epsilon=share * threat.epsilon))


def attacked_images(
    model: nn.Module,
    images: Images,
    attacks: Sequence[Attack],
    threat: ThreatModel | str,
    *,
    every_target: bool = False,
    seed: int = 0,
) -> Images:
    """``images`` and, with their true labels, what each attack made of them: the set of an offline retraining.

    Table 7 of Sharma's thesis trains anew on such a set. Images that an attack does not break add nothing.

    Parameters
    ----------
    model: the trained classifier that is attacked.
    images: training images.
    attacks: one after the other; each adds its own.
    threat: as in :func:`advplug.run`; ``"l2:min"`` for the nearest ones.
    every_target: attack towards every wrong class, each a new image, rather than to any.
    seed: of the attacks.
    """
    threat = as_threat(threat)
    inputs, labels = [images.inputs], [images.labels]
    classes = len(images.class_names) or int(images.labels.max()) + 1
    aims = [(images.labels + shift) % classes for shift in range(1, classes)] if every_target else [None]
    goal = replace(threat, targeted=True) if every_target else threat
    for attack in attacks:
        for targets in aims:
            problem = make_problem(
                model, images.inputs, images.labels, goal, targets=targets, options=Options(seed=seed)
            )
            result = run_attack(attack, problem)
            inputs.append(result.adversarials[result.success])
            labels.append(images.labels[result.success])
    return replace(images, inputs=torch.cat(inputs), labels=torch.cat(labels), name=f"{images.name} and attacked")
