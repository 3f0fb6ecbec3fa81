"""Training through an attack: how the distance that it finds depends on the weights of the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.attack import Attack
from advplug.engine.problem import Options, make_problem
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput
from advplug.hyperparameters import Positive, check_hyperparameters
from advplug.numerics.hyperplanes import DUAL_ORDER, ORDER
from advplug.threat import ThreatModel, as_threat
from advplug.training.objectives import Batch


@dataclass(frozen=True, kw_only=True)
class MMA:
    """Max-margin adversarial training (Ding et al. 2020): moves the boundary away, through any minimum-norm attack.

    Cross-entropy of the clean images, plus ``weight`` times the mean of ``max(0, largest - d) / largest``, which is 0
    for images that are wrong already. ``d`` is the distance that the attack finds, as a function of the weights. The
    network is attacked in evaluation mode.

    An attack within a budget needs no such objective: where its point is the worst of the ball, the loss does not
    change to first order as this point moves (Danskin), so cross-entropy there is enough.

    Parameters
    ----------
    attack: any plugin that looks for the nearest adversarial example; few steps, as each batch runs it once.
    largest: d_max; images that are farther from the boundary add nothing.
    threat: ``linf:min``, ``l2:min`` or ``l1:min``.
    weight: of the distances beside the cross-entropy.

    Raises
    ------
    InvalidInput: a budget, or a norm under which the attack does not work or the distance has no slope.
    """

    attack: Attack
    largest: Positive
    threat: ThreatModel | str = "l2:min"
    weight: Positive = 1.0

    def __post_init__(self) -> None:
        check_hyperparameters(self)
        threat = as_threat(self.threat)
        object.__setattr__(self, "threat", threat)
        if threat.epsilon is not None:
            raise InvalidInput(f"MMA moves the nearest boundary: give {threat.norm}:min, without a budget")
        known = [norm for norm in DUAL_ORDER if norm in self.attack.norms]
        if threat.norm not in known:
            name = type(self.attack).__name__
            raise InvalidInput(
                f"{name} cannot train under {threat.norm}: choose {', '.join(known) or 'another attack'}"
            )

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The objective, and the logits (N, K) of the clean images."""
        threat = as_threat(self.threat)
        seed = int(torch.randint(2**31, (), generator=batch.generator))
        found = run_attack(self.attack, make_problem(model, batch.x, batch.y, threat, options=Options(seed=seed)))
        logits = model(batch.x)
        loss = F.cross_entropy(logits, batch.y)
        rows = found.success
        if rows.any():
            x, y, points = batch.x[rows], batch.y[rows], found.adversarials[rows]
            short = (1 - boundary_distance(model, x, y, points, threat.norm) / self.largest).clamp(min=0)
            loss = loss + self.weight * short.sum() / len(rows)
        return loss, logits


def boundary_distance(model: nn.Module, x: Tensor, y: Tensor, points: Tensor, norm: str) -> Tensor:
    """The distance of ``x`` (n, ...) to the boundary at ``points`` (n, ...), (n,), as a function of the weights.

    The value is ``||points - x||``. The gradient is that of the margin at the point, divided by the dual norm of the
    margin's slope there: by so much the boundary moves (Ding et al. 2020, section 2). This is exact for the nearest
    point of a smooth boundary.

    Parameters
    ----------
    model: from inputs (n, ...) to logits (n, K).
    y: the class of ``x``, int64 (n,).
    points: what a minimum-norm attack found.
    norm: ``linf``, ``l2`` or ``l1``.
    """
    points = points.detach().requires_grad_()
    logits: Tensor = model(points)
    own = F.one_hot(y, logits.shape[1]).bool()
    margin = logits[own] - logits.masked_fill(own, -torch.inf).amax(1)
    (slope,) = torch.autograd.grad(margin.sum(), points, retain_graph=True)
    steepness = torch.linalg.vector_norm(slope.flatten(1), DUAL_ORDER[norm], dim=1)
    distance = torch.linalg.vector_norm((points.detach() - x).flatten(1), ORDER[norm], dim=1)
    moved: Tensor = distance + (margin - margin.detach()) / steepness.clamp(min=torch.finfo(slope.dtype).tiny)
    return moved
