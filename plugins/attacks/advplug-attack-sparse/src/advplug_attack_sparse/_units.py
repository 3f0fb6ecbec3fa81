"""What a sparse attack counts: values, or pixels with all their channels."""

from __future__ import annotations

from dataclasses import dataclass

import eagerpy as ep
import torch
from torch import Tensor

from advplug.attack import Attack, Task
from advplug.errors import InvalidInput
from advplug.numerics import norms, raw, wrap


@dataclass(frozen=True, kw_only=True)
class SparseAttack(Attack):
    """An attack under L0 that counts values, as the threat model does, or pixels.

    A *unit* is what it counts: a value, or all channels (dimension 1 of the batch) of a place.

    Parameters
    ----------
    pixels: change, and make few, pixels rather than values. A budget still counts values.
    """

    pixels: bool = False

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        """The norm; under l0 with ``pixels`` the number of pixels that change, float64 (n,)."""
        return norms(delta.abs().amax(1) if norm == "l0" and self.pixels else delta, norm)

    def check_channels(self, task: Task) -> None:
        """Refuse ``pixels`` for inputs without channels.

        Raises
        ------
        InvalidInput: the inputs are vectors.
        """
        if self.pixels and task.inputs.ndim < 3:
            raise InvalidInput("pixels needs inputs with channels, (N, C, ...): set it to False")

    def sums(self, values: ep.Tensor) -> ep.Tensor:
        """Of the values (n, ...) of each unit, (n, U)."""
        return (values.sum(1) if self.pixels else values).flatten(1)

    def spread(self, units: ep.Tensor, like: ep.Tensor) -> ep.Tensor:
        """What each unit holds, (n, U), at each of its values, as ``like`` (n, ...)."""
        if not self.pixels:
            return units.reshape(like.shape)
        return wrap(raw(units).view(len(like), 1, *like.shape[2:]).expand(like.shape))

    def changed(self, task: Task, x: ep.Tensor) -> ep.Tensor:
        """The units in which ``x`` (n, ...) differs from the input, bool (n, U)."""
        return self.sums((x != task.inputs).astype(x.dtype)) > 0

    def free(self, task: Task) -> ep.Tensor:
        """The units that the threat model lets change, bool (n, U)."""
        return self.sums((task.upper > task.lower).astype(task.inputs.dtype)) > 0

    def beaten(self, task: Task, x: ep.Tensor) -> ep.Tensor:
        """Whether ``x`` (n, ...) changes no fewer units than the best point, or more than the budget, bool (n,)."""
        count = self.changed(task, x).sum(1)
        return count >= task.best_cost if task.problem.epsilon is None else count > task.epsilon

    def units_in_budget(self, task: Task) -> Tensor:
        """The most units that the budget has room for whatever their values, whole numbers (n,)."""
        self.check_channels(task)
        return (raw(task.epsilon) // (task.inputs.shape[1] if self.pixels else 1)).floor()


def width(task: Task) -> float:
    """Width of the bounds, the unit of length."""
    return task.threat.bounds[1] - task.threat.bounds[0]


def room(task: Task, x: ep.Tensor) -> tuple[ep.Tensor, ep.Tensor]:
    """How far each value of ``x`` (n, ...) can fall and rise, both at least 0; 0 where a mask holds it."""
    return ep.maximum(x - task.lower, 0), ep.maximum(task.upper - x, 0)


def lowest(keys: Tensor, count: Tensor) -> Tensor:
    """Marks the ``count`` (n,) lowest finite ones of ``keys`` (n, U), bool (n, U)."""
    most = min(int(count.max()), keys.shape[1])  # few as a rule, and sorting all takes many times as long
    found, units = keys.topk(most, dim=1, largest=False)
    wanted = (torch.arange(most, device=keys.device) < count[:, None]) & found.isfinite()
    return torch.zeros_like(keys, dtype=torch.bool).scatter(1, units, wanted)
