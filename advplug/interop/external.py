"""Runs an attack of another library inside a task: counted, shielded from its faults, judged by the engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advplug.engine.gateway import ask, out_of_memory
from advplug.engine.task import Task
from advplug.errors import AdvplugError, InvalidInput, NonFiniteLogits
from advplug.gradients import Exact
from advplug.losses import CrossEntropy
from advplug.model import DefendedModel
from advplug.numerics.tensors import raw, wrap


class ExternalError(AdvplugError):
    """An attack of another library raised an error; the message names it, the traceback holds the original."""


class CountedModel(nn.Module):
    """The attacked model as another library may see it: scores for inputs (m, ...) of any m.

    It counts the inputs that go forward and backward, and hides the parameters: libraries switch modes, move devices
    and clear or fill ``.grad`` of whatever they can reach.
    """

    def __init__(self, model: DefendedModel, like: Tensor, attack: str) -> None:
        super().__init__()
        self._library_attack = attack
        self._hidden = (model,)  # a tuple, so that torch does not register the model as a part
        self._like = like[:0]
        self.forwards = self.backwards = 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        model = self._hidden[0]
        logits = ask(model, model, x.to(self._like))  # some libraries send float64 to a float32 model
        self.forwards += len(x)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self._count_backward(len(gradient)))
        if not bool(logits.isfinite().all()):  # libraries take argmax of NaN for an answer, and count it as a success
            if not bool(x.isfinite().all()):
                raise ExternalError(f"{self._library_attack} asked the model about NaN or infinite inputs")
            raise NonFiniteLogits("the model returned NaN or infinite logits during the search: undefined")
        return logits

    def _count_backward(self, rows: int) -> None:
        self.backwards += rows


@dataclass(frozen=True)
class Part:
    """The samples of a batch that share one budget.

    ``inputs`` (m, ...), ``labels`` and ``targets`` int64 (m,), ``starting_points`` like ``inputs``; ``epsilon`` their
    budget or None for minimum norm.
    """

    model: CountedModel
    inputs: Tensor
    labels: Tensor
    targets: Tensor | None
    starting_points: Tensor | None
    epsilon: float | None


def run_external(task: Task, attack: str, search: Callable[[Part], Tensor]) -> None:
    """Let ``search`` find candidates (m, ...) for each budget in the batch, and hand them to the task.

    Candidates are moved to the nearest point that the threat model allows before they are judged: libraries clip
    too, and leave rounding errors. The passes of each search are shared evenly among its samples: the total is exact,
    the count of a sample is exact if the library forwards whole batches, or with ``batch_size=1``.

    Raises
    ------
    InvalidInput: a loss or gradient estimator was chosen, which the library would not use; or a mask, or arrays in the
        threat model, of which it would not know.
    ExternalError: the attack raised an error.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    if not task.problem.region.uniform:
        raise InvalidInput(
            f"{attack} knows no mask, and no bounds or budgets as arrays: use an attack of advplug's own"
        )
    if task.problem.loss not in (None, CrossEntropy()) or task.problem.gradient != Exact():
        raise InvalidInput(f"{attack} brings its own loss and gradient: leave loss and gradient at their defaults")
    inputs, labels = raw(task.inputs), raw(task.labels)
    targets = None if task.targets is None else raw(task.targets)
    starting_points = None if task.starting_points is None else raw(task.starting_points)
    candidates, forwards = inputs.clone(), torch.zeros_like(labels)
    backwards = torch.zeros_like(labels)
    for epsilon, chosen in _budgets(task):
        part = Part(
            model=CountedModel(task.gateway.searched, inputs, attack),
            inputs=inputs[chosen],
            labels=labels[chosen],
            targets=None if targets is None else targets[chosen],
            starting_points=None if starting_points is None else starting_points[chosen],
            epsilon=epsilon,
        )
        with _named(attack):
            found = search(part)
        candidates[chosen] = _usable(found, part, attack)
        forwards[chosen] = _shares(part.model.forwards, chosen)
        backwards[chosen] = _shares(part.model.backwards, chosen)
    task.charge(forwards, backwards)
    task.judge(task.project(wrap(candidates)))


def _budgets(task: Task) -> Iterator[tuple[float | None, Tensor]]:
    """Pairs (budget, positions in the batch int64 (m,)): libraries take one number for a batch."""
    if task.problem.epsilon is None:
        yield None, torch.arange(len(task.inputs), device=raw(task.inputs).device)
        return
    epsilon = task.problem.epsilon[raw(task.samples)]
    for value in torch.unique(epsilon).tolist():
        yield value, (epsilon == value).nonzero().squeeze(1)


@contextmanager
def _named(attack: str) -> Iterator[None]:
    try:
        yield
    except AdvplugError:
        raise
    except Exception as error:
        if out_of_memory(error):  # the engine halves the batch
            raise
        detail = str(error) or "no message, see the traceback"
        raise ExternalError(f"{attack} failed for its whole batch with {type(error).__name__}: {detail}") from error


def _usable(found: Any, part: Part, attack: str) -> Tensor:
    """``found`` with the clean input where it is not a finite point."""
    points = raw(found).detach().to(part.inputs)
    if points.shape != part.inputs.shape:
        raise ExternalError(
            f"{attack} returned shape {tuple(points.shape)} for inputs of shape {tuple(part.inputs.shape)}"
        )
    finite = points.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        warnings.warn(f"{attack} returned NaN for {int((~finite).sum())} samples: counted as failed", stacklevel=2)
    return torch.where(finite.view(-1, *(1,) * (points.ndim - 1)), points, part.inputs)


def _shares(total: int, rows: Tensor) -> Tensor:
    """``total`` in whole and nearly equal shares, int64 like ``rows``."""
    return total // len(rows) + (torch.arange(len(rows), device=rows.device) < total % len(rows)).long()
