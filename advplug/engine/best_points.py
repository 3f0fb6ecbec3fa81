"""The samples of one batch, and the best point that the search has evaluated for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advplug.criteria import Criterion
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.engine.query_counter import QueryCounter
from advplug.engine.verification import ROUNDING
from advplug.errors import NonFiniteLogits
from advplug.model import Decision
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tensors import lowest_and_highest, size_of_rows
from advplug.numerics.trees import take

_CHECK_EVERY = 8  # steps between looks at which samples are done, on devices where looking waits for the device
_WORTH_DROPPING = 15 / 16  # compact the batch when at most this share of it still searches

Cost = Callable[[Tensor, str], Tensor]
"""What a minimum-norm run makes small; see :meth:`advplug.attack.Attack.cost`."""

Trace = list[tuple[Tensor, Tensor]]
"""Pairs (samples int64 (n,), loss (n,)), one for each evaluation of a batch."""


@dataclass(frozen=True)
class Rows:
    """Everything that has one row per sample of the batch, so that dropping samples is one operation.

    ``best_rate`` is the share of the model's draws that the best point fooled (0 or 1 for deterministic models),
    ``best_seen`` the same of the model that is searched, which may be a float32 copy, ``best_cost`` its loss, or in a
    minimum-norm run what the attack makes small, its distance as a rule; such runs start from the best point of earlier
    rounds. ``unusable`` counts steps without a usable gradient. ``place`` is the row of each in the batch as it was at
    the start.
    """

    samples: Tensor
    place: Tensor
    inputs: Tensor
    labels: Tensor
    targets: Tensor | None
    epsilon: Tensor | None
    lower: Tensor
    upper: Tensor
    noise: Noise
    starting_points: Tensor | None
    best_x: Tensor
    best_rate: Tensor
    best_seen: Tensor
    best_cost: Tensor
    done: Tensor
    finite: Tensor
    unusable: Tensor

    def untouched(self, noise: Noise) -> Rows:
        """The same samples before any search, with their own random numbers."""
        return replace(
            self,
            place=torch.arange(len(self.inputs), device=self.inputs.device),
            noise=noise,
            best_x=self.inputs.clone(),
            best_rate=torch.zeros_like(self.best_rate),
            best_seen=torch.zeros_like(self.best_rate),
            best_cost=torch.full_like(self.best_cost, torch.inf),
            done=torch.zeros_like(self.done),
            finite=torch.ones_like(self.finite),
            unusable=torch.zeros_like(self.unusable),
        )


class BestPoints:
    """Judges every point that is evaluated, keeps the best of each sample, and says who is done.

    Parameters
    ----------
    counter: charged for the decisions that judging costs.
    cost: what a minimum-norm run makes small.
    shared: samples have several rows, one for each target, and fall with the first of them.
    """

    def __init__(
        self, problem: Problem, gateway: Gateway, rows: Rows, *, counter: QueryCounter, cost: Cost, shared: bool
    ) -> None:
        self.rows = rows
        self.trace: Trace = []
        self._left: list[Rows] = []
        self._problem, self._gateway, self._counter = problem, gateway, counter
        self._cost, self._shared = cost, shared
        self._stops = problem.options.early_end and problem.epsilon is not None and not problem.model.stochastic
        self._set(rows)

    @property
    def on_host(self) -> bool:
        """Whether looking at a value costs nothing; elsewhere it waits for the device."""
        return self.rows.done.device.type == "cpu"

    def record(
        self,
        x: Tensor,
        loss: Tensor,
        logits: Tensor,
        *,
        condition: Criterion | None = None,
        comparable: bool = True,
        judge: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Judge ``x`` (n, ...) and keep it where it is better than all points before.

        Parameters
        ----------
        loss: (n,), or (n, M) of which the least counts.
        logits: (n, K), or (draws, n, K) of a stochastic model.
        condition: what a point must meet beyond the goal.
        comparable: whether ``loss`` is that of the other points, so that the smaller one is the better.
        judge: whether to ask for a decision.

        Returns
        -------
        tuple[Tensor, Tensor]: whether each point counts as a success, bool (n,), and its mean logits, (n, K).
        """
        rows, on_copy = self.rows, self._on_copy
        finite = logits.abs().amax(-1) < torch.inf  # NaN comes through, which no comparison lets pass
        rate = self._success_rate(x, logits) if judge else torch.zeros_like(rows.best_rate)
        seen = rate
        if judge and on_copy:  # the attack sees what the copy says that it searches on
            seen = self._by_scores(logits)
        if logits.ndim == 3:
            finite, logits = finite.all(0), logits.mean(0)
        if condition is not None:
            holds = condition(self._accepting(logits), rows.labels, rows.targets)
            rate, seen = torch.where(holds, rate, 0), torch.where(holds, seen, 0)
        smallest = loss if loss.ndim == 1 else loss.amin(1)
        if not comparable:
            smallest = torch.full_like(smallest, torch.inf)
        if rows.epsilon is None:
            cost = self._cost(x - rows.inputs, self._problem.threat.norm)
            nearer = cost < rows.best_cost
            better = (rate > 0.5) & nearer
            if on_copy:  # one that breaks the model stands before one that breaks its copy alone, however far it is
                on_copy_alone = (rows.best_rate <= 0.5) & (rows.best_seen > 0.5)
                better |= (rate > 0.5) & on_copy_alone
                better |= (seen > 0.5) & nearer & (on_copy_alone | rows.best_cost.isinf())
        else:
            cost = smallest.double()
            closer = cost < rows.best_cost
            if on_copy:
                closer = (seen > rows.best_seen) | ((seen == rows.best_seen) & closer)
            better = (rate > rows.best_rate) | ((rate == rows.best_rate) & closer)
        better &= self._searching  # a sample that is done keeps its first success, whoever shares its batch
        self.trace.append((rows.samples, smallest.masked_fill(rows.done | (not comparable), torch.nan)))
        rows.finite.logical_and_(finite | rows.done)
        if not self.on_host or bool(better.any()):
            # A point that verification would refuse must not stand in the way of one that it accepts.
            better &= finite & self._allowed(x)
            self._keep(better, x, {"best_rate": rate, "best_seen": seen, "best_cost": cost})
        if self._stops:
            fallen = better & (rate == 1)
            self.finish(self._counter.any_row_of_sample(fallen) if self._shared else fallen)
        return seen > 0.5, logits

    def usable(self, gradient: Tensor) -> Tensor:
        """The gradient (n, ...) with zeros for what is not finite; notes where it is zero throughout or not finite."""
        peak = size_of_rows(gradient.flatten(1), "linf")  # NaN and inf come through, and are not below infinity
        usable = (peak > 0) & (peak < torch.inf)
        if self.on_host and bool(usable.all()):
            return gradient
        self.rows.unusable.add_((~usable & self._searching).long())
        return torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)

    def finish(self, done: Tensor) -> None:
        """Search no further for the rows of ``done``, bool (n,): they keep their best point and leave the batch."""
        self.rows.done.logical_or_(done)
        self._tell_apart()

    def drop(self, step: int) -> Tensor | None:
        """Drop the rows that are done, if enough of them are: which ones stay, int64 (m,), or None if all do."""
        if not (self.on_host or step % _CHECK_EVERY == _CHECK_EVERY - 1):
            return None
        keep = self._searching.nonzero().squeeze(1)
        if len(keep) > _WORTH_DROPPING * len(self.rows.done):
            return None
        self._check_finite()
        self._left.append(take(self.rows, self.rows.done.nonzero().squeeze(1)))
        self._set(take(self.rows, keep))
        return keep

    def close(self) -> list[Rows]:
        """All rows with their best points, in no particular order.

        Raises
        ------
        NonFiniteLogits: the model returned NaN or infinite logits for some sample.
        """
        self._check_finite()
        return [*self._left, self.rows]

    def in_order(self) -> Tensor:
        """The best points (n, ...) in the order in which the batch began."""
        rows = self.close()
        found = torch.cat([part.best_x for part in rows])
        return found[torch.cat([part.place for part in rows]).argsort()]

    def _set(self, rows: Rows) -> None:
        self.rows = rows
        self._counter.rows = rows.samples
        self._tell_apart()

    def _tell_apart(self) -> None:
        """Which rows are not done: it is asked several times in a step, and seldom changes."""
        self._searching = ~self.rows.done
        self._counter.live = self._searching.long()

    def _keep(self, better: Tensor, x: Tensor, of_each: dict[str, Tensor]) -> None:
        """Put ``x`` (n, ...) and what is said of each point, (n,) by the names of the rows, where ``better`` holds."""
        best = self.rows.best_x
        if self.on_host:  # copies those alone, where a choice looks at every value
            places = better.nonzero().squeeze(1)
            best.index_copy_(0, places, x.index_select(0, places).to(best.dtype))
        else:
            best.copy_(torch.where(better.view(-1, *(1,) * (x.ndim - 1)), x, best))
        for name, values in of_each.items():
            kept = getattr(self.rows, name)
            torch.where(better, values, kept, out=kept)

    def _allowed(self, x: Tensor) -> Tensor:
        """Whether ``x`` is in bounds and in the budget but for rounding, bool (n,); the verification is exact."""
        threat = self._problem.threat
        lowest, highest = lowest_and_highest(x)  # NaN where one value is, which no comparison lets pass
        fine = (lowest >= threat.bounds[0]) & (highest <= threat.bounds[1])
        if self.rows.epsilon is None:
            return fine
        distance = size_of_rows((x - self.rows.inputs).flatten(1), threat.norm)
        return fine & (distance <= self.rows.epsilon * (1 + ROUNDING))

    def _success_rate(self, x: Tensor, logits: Tensor) -> Tensor:
        """Share of the draws that the criterion counts, float32 (n,)."""
        rows = self.rows
        if not (self._problem.model.rejects or self._on_copy):
            return self._by_scores(logits)
        if self._problem.model.rejects:
            self._counter.forward()
        return self._problem.criterion(self._gateway.decide(x), rows.labels, rows.targets).float()

    @property
    def _on_copy(self) -> bool:
        """Whether the search asks a copy of the model, which has no say in what counts."""
        return self._gateway.searched is not self._gateway.model

    def _by_scores(self, logits: Tensor) -> Tensor:
        """The share of draws that the criterion counts, as logits (..., n, K) say, float32 (n,)."""
        success = self._problem.criterion(self._accepting(logits), self.rows.labels, self.rows.targets)
        return success.float() if success.ndim == 1 else success.float().mean(0)

    def _accepting(self, logits: Tensor) -> Decision:
        """The decision of the model if it rejected nothing, from logits (..., K)."""
        labels = self._problem.model.answers(logits)
        return Decision(labels, torch.ones_like(labels, dtype=torch.bool), logits)

    def _check_finite(self) -> None:
        if not bool(self.rows.finite.all()):
            samples: list[int] = self.rows.samples[~self.rows.finite].tolist()
            raise NonFiniteLogits(
                f"the model returned NaN or infinite logits for samples {samples[:10]}: its answer there is undefined"
            )
