"""Runs an attack of another library inside a task: counted, shielded from its faults, judged by the engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advplug.errors import AdvplugError, InvalidInput, NonFiniteLogits
from advplug.gradients import Exact
from advplug.losses import CrossEntropy
from advplug.model import DefendedModel
from advplug.ops import raw, wrap
from advplug.task import Task


class PeerError(AdvplugError):
    """An attack of another library raised an error; the message names it, the traceback holds the original."""


class CountedModel(nn.Module):
    """The attacked model as another library may see it: scores for inputs (m, ...) of any m.

    It counts the inputs that go forward and backward, and hides the parameters: libraries switch modes, move devices
    and clear or fill ``.grad`` of whatever they can reach.
    """

    def __init__(self, model: DefendedModel, like: Tensor, peer: str) -> None:
        super().__init__()
        self._peer = peer
        self._hidden = (model,)  # a tuple, so that torch does not register the model as a part
        self._like = like[:0]
        self.forwards = self.backwards = 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self._hidden[0](x.to(self._like))  # some peers send float64 to a float32 model
        self.forwards += len(x)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self._count_backward(len(gradient)))
        if not bool(logits.isfinite().all()):  # peers take argmax of NaN for an answer, and count it as a success
            if not bool(x.isfinite().all()):
                raise PeerError(f"{self._peer} asked the model about NaN or infinite inputs")
            raise NonFiniteLogits("the model returned NaN or infinite logits during the search: undefined")
        return logits

    def _count_backward(self, rows: int) -> None:
        self.backwards += rows


@dataclass(frozen=True)
class Part:
    """The samples of a batch that share one budget.

    ``inputs`` (m, ...), ``labels`` and ``targets`` int64 (m,), ``starts`` like ``inputs``; ``epsilon`` their budget or
    None for minimum norm.
    """

    model: CountedModel
    inputs: Tensor
    labels: Tensor
    targets: Tensor | None
    starts: Tensor | None
    epsilon: float | None


def run_peer(task: Task, peer: str, search: Callable[[Part], Tensor]) -> None:
    """Let ``search`` find candidates (m, ...) for each budget in the batch, and hand them to the task.

    Candidates are moved to the nearest point that the threat model allows before they are judged: peers clip too, and
    leave rounding errors. The passes of each search are shared evenly among its samples: the total is exact, the count
    of a sample is exact if the peer forwards whole batches, or with ``batch_size=1``.

    Raises
    ------
    InvalidInput: a loss or gradient estimator was chosen, which the peer would not use.
    PeerError: the peer raised an error.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    if task.problem.loss not in (None, CrossEntropy()) or task.problem.gradient != Exact():
        raise InvalidInput(f"{peer} brings its own loss and gradient: leave loss and gradient at their defaults")
    rows = task.rows
    candidates = rows.inputs.clone()
    forwards = torch.zeros_like(rows.samples)
    backwards = torch.zeros_like(rows.samples)
    for epsilon, chosen in _budgets(task):
        part = Part(
            model=CountedModel(task.problem.model, rows.inputs, peer),
            inputs=rows.inputs[chosen],
            labels=rows.labels[chosen],
            targets=None if rows.targets is None else rows.targets[chosen],
            starts=None if rows.starts is None else rows.starts[chosen],
            epsilon=epsilon,
        )
        with _named(peer):
            found = search(part)
        candidates[chosen] = _usable(found, part, peer)
        forwards[chosen] = _shares(part.model.forwards, chosen)
        backwards[chosen] = _shares(part.model.backwards, chosen)
    task.charge(forwards, backwards)
    task.judge(task.project(wrap(candidates)))


def _budgets(task: Task) -> Iterator[tuple[float | None, Tensor]]:
    """Pairs (budget, positions in the batch int64 (m,)): peers take one number for a batch."""
    epsilon = task.rows.epsilon
    if epsilon is None:
        yield None, torch.arange(len(task.rows.samples), device=task.rows.samples.device)
        return
    for value in torch.unique(epsilon).tolist():
        yield value, (epsilon == value).nonzero().squeeze(1)


@contextmanager
def _named(peer: str) -> Iterator[None]:
    try:
        yield
    except (AdvplugError, torch.cuda.OutOfMemoryError):  # the engine halves the batch on the latter
        raise
    except Exception as error:
        detail = str(error) or "no message, see the traceback"
        raise PeerError(f"{peer} failed for its whole batch with {type(error).__name__}: {detail}") from error


def _usable(found: Any, part: Part, peer: str) -> Tensor:
    """``found`` with the clean input where it is not a finite point."""
    points = raw(found).detach().to(part.inputs)
    if points.shape != part.inputs.shape:
        raise PeerError(f"{peer} returned shape {tuple(points.shape)} for inputs of shape {tuple(part.inputs.shape)}")
    finite = points.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        warnings.warn(f"{peer} returned NaN for {int((~finite).sum())} samples: counted as failed", stacklevel=2)
    return torch.where(finite.view(-1, *(1,) * (points.ndim - 1)), points, part.inputs)


def _shares(total: int, rows: Tensor) -> Tensor:
    """``total`` in whole and nearly equal shares, int64 like ``rows``."""
    return total // len(rows) + (torch.arange(len(rows), device=rows.device) < total % len(rows)).long()
