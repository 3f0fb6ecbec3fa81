"""The estimator that takes gradients through a gradient network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from advplug.engine.objective import Objective
from advplug.gradients import Estimate, Exact, GradientEstimator
from advplug.numerics.random_numbers import Noise
from advplug.tracing.network import GradientNetwork


@dataclass(frozen=True)
class Traced(GradientEstimator):
    """Forward through the model, backward through what its forward pass shows: BPDA that needs no surrogate.

    Operations that lose the gradient (rounding, comparisons, arg max, ``detach``, ``no_grad``) get a slope, custom
    functions lose their own backward pass, activations that left torch are fed straight through, and where the answer
    itself has no gradient the scores of an inner module take its place (Athalye et al. 2018, sec. 4.1; Yao et al. 2021,
    sec. 4). The loss sees the scores that have the gradient; what counts as a success is decided on the model's own.

    Parameters
    ----------
    exit: name of the module whose outputs are the scores, so that what follows it is left out; "" for the model's own.
    bridge: names of modules whose outputs take the gradient straight to their inputs, whatever is between.
    operations: whether flat operations get a slope.
    unsaturated: whether functions that saturate get one that does not vanish: sigmoid, tanh, softmax, clamp.
    functions: whether custom functions lose their backward pass.
    replayed: whether the operations that torch's dispatcher saw run again one by one, also those of scripted code;
        modules play no part then, and ``exit`` names an operation, such as addmm. Costs one more forward pass.
    of: where the gradient comes from.
    """

    exit: str = ""
    bridge: tuple[str, ...] = ()
    operations: bool = True
    unsaturated: bool = False
    functions: bool = True
    replayed: bool = False
    of: GradientEstimator = field(default_factory=Exact)

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        network = GradientNetwork(
            objective.model,
            self.exit,
            self.bridge,
            self.operations,
            self.unsaturated,
            self.functions,
            self.replayed,
        )

        def charged(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
            objective.counter.forward(len(x) // len(objective.labels))
            return network(function, x)

        return self.of(replace(objective, network=charged if self.replayed else network), x, noise, step)
