"""One batch under attack, as the attack sees it; keeps the best point of every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import eagerpy as ep
import torch
from torch import Tensor

from advplug import ops
from advplug.errors import NonFiniteLogits
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.model import Decision
from advplug.objective import Ledger, Objective
from advplug.ops import raw, wrap
from advplug.problem import Problem
from advplug.projections import PROJECTIONS
from advplug.rng import Noise
from advplug.starts import random_start
from advplug.verify import ROUNDING

_CHECK_EVERY = 8  # steps between looks at which samples are done, on devices where looking waits for the device
_CACHES = 24  # a batch that fits into memory is about so many times as large as one that fits into a processor's caches
_WORTH_DROPPING = 15 / 16  # compact the batch when at most this share of it still searches

S = TypeVar("S")

Cost = Callable[[Tensor, str], Tensor]
"""What a minimum-norm run makes small; see :meth:`advplug.attack.Attack.cost`."""


Wish = Callable[[ep.Tensor], ep.Tensor]
"""What an attack asks of the scores (n, K) of a point beyond the goal, such as a confidence; bool (n,)."""


class Query(NamedTuple):
    """What one evaluation tells: ``loss`` (n,), ``gradient`` (n, ...) or None, ``logits`` (n, K), ``success`` (n,).

    Under a loss of M values per sample, ``loss`` is (n, M) and ``gradient`` (n, M, ...). ``success`` leaves the budget
    out: whether the criterion counts the point, and the attack's wish holds.
    """

    loss: ep.Tensor
    gradient: ep.Tensor | None
    logits: ep.Tensor
    success: ep.Tensor


@dataclass(frozen=True)
class Rows:
    """Everything that has one row per sample of the batch, so that dropping samples is one operation.

    ``best_rate`` is the share of the model's draws that the best point fooled (0 or 1 for deterministic models),
    ``best_cost`` its loss, or in a minimum-norm run what the attack makes small, its distance as a rule; such runs
    start from the best point of earlier rounds. ``lost`` counts steps without a usable gradient. ``place`` is the row
    of each in the batch as it was at the start.
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
    starts: Tensor | None
    best_x: Tensor
    best_rate: Tensor
    best_cost: Tensor
    done: Tensor
    finite: Tensor
    lost: Tensor


class Task:
    """The engine's face to an attack.

    ``inputs`` (n, ...) are the clean samples; ``lower`` and ``upper`` the box they may move in (already cut to the
    budget under linf); ``epsilon`` (n,) the budgets; ``t`` the current step; ``restart`` the number of this restart,
    0 for the first, as some attacks start from the input there and at random later; ``prepared`` what
    :meth:`advplug.attack.Attack.prepare` returned.
    """

    def __init__(
        self,
        problem: Problem,
        rows: Rows,
        objective: Objective,
        tick: Callable[[int], None],
        *,
        cost: Cost,
        prepared: Any = None,
        restart: int = 0,
        shared: bool = False,
    ) -> None:
        self.problem = problem
        self.prepared = prepared
        self.restart = restart
        self._cost = cost
        self._shared = shared  # samples have several rows, one for each target, and fall with the first of them
        self.threat = problem.threat
        self.t = 0
        self.trace: list[tuple[Tensor, Tensor]] = []
        self.left: list[Rows] = []
        self._stops = problem.options.early_end and problem.epsilon is not None and not problem.model.stochastic
        self._tick = tick
        self._loss = objective.loss
        self._ledger = objective.ledger
        self._max_rows = objective.max_rows
        self._set(rows)

    # --- what an attack reads ---

    @property
    def inputs(self) -> ep.Tensor:
        return wrap(self.rows.inputs)

    @property
    def labels(self) -> ep.Tensor:
        return wrap(self.rows.labels)

    @property
    def targets(self) -> ep.Tensor | None:
        return None if self.rows.targets is None else wrap(self.rows.targets)

    @property
    def lower(self) -> ep.Tensor:
        return wrap(self.rows.lower)

    @property
    def upper(self) -> ep.Tensor:
        return wrap(self.rows.upper)

    @property
    def noise(self) -> Noise:
        """Random numbers that belong to the samples."""
        return self.rows.noise

    @property
    def best(self) -> ep.Tensor:
        """The best points so far (n, ...), in earlier rounds of a minimum-norm run too; the inputs where none is."""
        return wrap(self.rows.best_x)

    @property
    def best_cost(self) -> ep.Tensor:
        """In a minimum-norm run the cost (as a rule the distance) of :attr:`best`, (n,); infinite where none is."""
        return wrap(self.rows.best_cost.to(self.rows.inputs.dtype))

    @property
    def finished(self) -> bool:
        """No sample is left to search for."""
        return len(self.rows.samples) == 0

    # --- what an attack calls ---

    def gradient(self, x: ep.Tensor) -> ep.Tensor:
        """Gradient of the loss at ``x`` (n, ...); the one forward pass also serves success and best point."""
        query = self.query(x)
        assert query.gradient is not None
        return query.gradient

    def query(
        self,
        x: ep.Tensor,
        wish: Wish | None = None,
        *,
        loss: Loss | None = None,
        targets: ep.Tensor | None = None,
        judge: bool = True,
    ) -> Query:
        """Loss, gradient, logits and success at ``x`` (n, ...); points that do not meet ``wish`` do not count.

        ``targets`` int64 (n,) are classes that the attack chose to steer to where the threat model names none: the
        loss sees them, the criterion does not. ``loss`` stands in for the task's; its values stay out of the trace.
        Without ``judge`` the point counts as no success and the model is not asked for a decision, which behind a
        detector may cost as much as many gradients: for attacks that say themselves which of their points to judge.
        """
        point = raw(x).detach()
        estimate = self._estimator(self._steering(loss, targets), point, self.rows.noise, self.t)
        peak = estimate.gradient.flatten(1).abs().amax(1)  # NaN and inf come through
        self.rows.lost.add_((~((peak > 0) & peak.isfinite()) & ~self.rows.done).long())
        gradient = torch.nan_to_num(estimate.gradient, nan=0.0, posinf=0.0, neginf=0.0)
        return self._record(
            point, estimate.loss, estimate.logits, wrap(gradient), wish=wish, comparable=loss is None, judge=judge
        )

    def evaluate(
        self, x: ep.Tensor, wish: Wish | None = None, *, targets: ep.Tensor | None = None, judge: bool = True
    ) -> Query:
        """Loss, logits and success at ``x`` (n, ...), without a gradient; the options are those of :meth:`query`."""
        point = raw(x).detach()
        return self._record(point, *self._steering(None, targets).value(point), None, wish=wish, judge=judge)

    def judge(self, x: ep.Tensor) -> None:
        """Evaluate ``x`` (n, ...), the end of a search, as often as its success is verified: one draw may refuse it."""
        for _ in range(self.problem.options.draws if self.problem.model.stochastic else 1):
            self.evaluate(x)

    def evaluate_best(self, points: ep.Tensor) -> tuple[ep.Tensor, ep.Tensor]:
        """The points (n, ...) of least loss among ``points`` (m, n, ...), and their loss (n,); only they are judged."""
        x = raw(points).detach()
        if len(x) == 1:
            return wrap(x[0]), self.evaluate(wrap(x[0])).loss
        objective = self._objective
        if self._on_host:  # batches that outgrow the caches take longer than their parts
            objective = replace(objective, max_rows=max(1, objective.max_rows // _CACHES))
        chunks = objective.chunks(len(x))
        found = [objective.tiled(many).value(x[first : first + many].flatten(0, 1)) for first, many in chunks]
        loss = torch.cat([values.unflatten(0, (-1, x.shape[1])) for values, _ in found])
        logits = torch.cat([scores.unflatten(0, (-1, x.shape[1])) for _, scores in found])
        least, rows = loss.argmin(0), torch.arange(x.shape[1], device=x.device)
        x = x[least, rows]
        return wrap(x), self._record(x, loss[least, rows], logits[least, rows], None, wish=None).loss

    def losses(self, points: Callable[[int, int], ep.Tensor], count: int) -> ep.Tensor:
        """Losses (count, n) of ``count`` points around each sample: charged, not judged, and never the best point.

        ``points(first, many)`` makes those from number ``first`` on, (many, n, ...): as many as fit into memory.
        """
        pieces = []
        for first, many in self._objective.chunks(count):
            x = raw(points(first, many)).detach()
            values, _ = self._objective.tiled(many).value(x.flatten(0, 1))
            pieces.append(values.unflatten(0, (many, len(self.rows.samples))))
        return wrap(torch.cat(pieces))

    def elsewhere(self, problem: Problem, loss: Loss, cost: Cost, prepared: Any) -> Task:
        """The same rows under another problem, such as another model: nothing found yet, and no query charged here.

        For attacks that search on a model of their own; what they find counts once it is evaluated here.
        """
        rows, inputs = self.rows, self.rows.inputs
        fresh = replace(
            rows,
            place=torch.arange(len(inputs), device=inputs.device),
            best_x=inputs.clone(),
            best_rate=torch.zeros_like(rows.best_rate),
            best_cost=torch.full_like(rows.best_cost, torch.inf),
            done=torch.zeros_like(rows.done),
            finite=torch.ones_like(rows.finite),
            lost=torch.zeros_like(rows.lost),
        )
        objective = Objective(
            model=problem.model,
            loss=loss,
            labels=rows.labels,
            targets=rows.targets,
            samples=self.problem.samples[rows.samples],
            ledger=Ledger(len(self.problem.inputs), inputs.device),
            max_rows=self._max_rows,
        )
        return Task(problem, fresh, objective, self._tick, cost=cost, prepared=prepared, restart=self.restart)

    def finish(self, done: ep.Tensor) -> None:
        """Search no further for the samples of ``done``, bool (n,): they keep their best point and leave the batch."""
        self.rows.done.logical_or_(raw(done))
        self._ledger.live = (~self.rows.done).long()

    def charge(self, forwards: Tensor, backwards: Tensor) -> None:
        """Charge passes, int64 (n,), made outside ``query`` and ``evaluate``: by attacks of other libraries."""
        self._ledger.forwards.index_add_(0, self.rows.samples, forwards)
        self._ledger.backwards.index_add_(0, self.rows.samples, backwards)

    def random_start(self) -> ep.Tensor:
        """A point drawn uniformly from the ball of radius epsilon, cut to the box (under linf: from the cut box)."""
        width = self.threat.bounds[1] - self.threat.bounds[0]
        return self.project(
            wrap(random_start(self.threat.norm, self.rows.inputs, self.epsilon, self.rows.noise, width))
        )

    def start(self, random: bool) -> ep.Tensor:
        """The given starting points if the caller gave some, else a random one or the inputs."""
        if self.rows.starts is not None:
            return self.project(wrap(self.rows.starts))
        return self.random_start() if random else self.inputs

    def project(self, x: ep.Tensor) -> ep.Tensor:
        """The nearest point to ``x`` (n, ...) that the threat model allows."""
        if self.threat.norm == "linf" or self.rows.epsilon is None:
            return ep.minimum(ep.maximum(x, self.lower), self.upper)
        clean = self.rows.inputs.flatten(1)
        low, high = self.rows.lower.flatten(1) - clean, self.rows.upper.flatten(1) - clean
        delta = PROJECTIONS[self.threat.norm](raw(x).flatten(1) - clean, self.epsilon[:, None], low, high)
        return wrap((clean + delta).view_as(self.rows.inputs))

    def clip(self, x: ep.Tensor) -> ep.Tensor:
        """``x`` (n, ...) cut to the bounds of valid inputs, whatever the budget: for minimum-norm attacks."""
        return x.clip(*self.threat.bounds)

    @property
    def epsilon(self) -> Tensor:
        """Budgets (n,) in the dtype of the inputs."""
        assert self.rows.epsilon is not None, "a minimum-norm task has no budget"
        return self.rows.epsilon.to(self.rows.inputs.dtype)

    def drop_finished(self, state: S) -> S:
        """End of a step: report progress, and drop the samples that are done from the batch and from ``state``."""
        self._tick(len(self.rows.samples))
        if not (self._on_host or self.t % _CHECK_EVERY == _CHECK_EVERY - 1):
            return state
        keep = (~self.rows.done).nonzero().squeeze(1)
        if len(keep) > _WORTH_DROPPING * len(self.rows.done):
            return state
        self._check_finite()
        leaving = self.rows.done.nonzero().squeeze(1)
        self.left.append(ops.take(self.rows, leaving))
        self._set(ops.take(self.rows, keep))
        return ops.take(state, keep)  # type: ignore[no-any-return]

    def close(self) -> list[Rows]:
        """All rows with their best points, in no particular order."""
        self._check_finite()
        return [*self.left, self.rows]

    # --- bookkeeping ---

    @property
    def _estimator(self) -> GradientEstimator:
        return self.problem.gradient

    def _set(self, rows: Rows) -> None:
        self.rows = rows
        self._ledger.rows, self._ledger.live = rows.samples, (~rows.done).long()
        self._objective = Objective(
            model=self.problem.model,
            loss=self._loss,
            labels=rows.labels,
            targets=rows.targets,
            samples=self.problem.samples[rows.samples],
            ledger=self._ledger,
            max_rows=self._max_rows,
        )

    def _steering(self, loss: Loss | None, targets: ep.Tensor | None) -> Objective:
        """The objective with another loss, or towards other classes."""
        objective = self._objective if loss is None else replace(self._objective, loss=loss)
        return objective if targets is None else replace(objective, targets=raw(targets))

    def _record(
        self,
        x: Tensor,
        loss: Tensor,
        logits: Tensor,
        gradient: ep.Tensor | None,
        *,
        wish: Wish | None,
        comparable: bool = True,
        judge: bool = True,
    ) -> Query:
        """Judge ``x`` and keep it where it is better than all points before.

        ``comparable``: whether ``loss`` is that of the other points, so that the smaller one is the better; ``judge``:
        whether to ask for a decision.
        """
        rows = self.rows
        finite = logits.isfinite().all(-1)
        rate = self._success_rate(x, logits) if judge else torch.zeros_like(rows.best_rate)
        if logits.ndim == 3:
            finite, logits = finite.all(0), logits.mean(0)
        if wish is not None:
            rate = torch.where(raw(wish(wrap(logits))), rate, 0)
        smallest = loss if loss.ndim == 1 else loss.amin(1)
        if not comparable:
            smallest = torch.full_like(smallest, torch.inf)
        if rows.epsilon is None:
            cost = self._cost(x - rows.inputs, self.threat.norm)
            better = (rate > 0.5) & (cost < rows.best_cost)
        else:
            cost = smallest.double()
            better = (rate > rows.best_rate) | ((rate == rows.best_rate) & (cost < rows.best_cost))
        # A point that verification would refuse must not stand in the way of one that it accepts.
        better &= finite & self._allowed(x)
        better &= ~rows.done  # a sample that is done keeps its first success, whoever shares its batch
        self.trace.append((rows.samples, smallest.masked_fill(rows.done | (not comparable), torch.nan)))
        rows.finite.logical_and_(finite | rows.done)
        if not self._on_host or bool(better.any()):  # elsewhere looking would wait for the device
            rows.best_x.copy_(torch.where(better.view(-1, *(1,) * (x.ndim - 1)), x, rows.best_x))
            rows.best_rate.copy_(torch.where(better, rate, rows.best_rate))
            rows.best_cost.copy_(torch.where(better, cost, rows.best_cost))
        if self._stops:
            fallen = better & (rate == 1)
            if self._shared:
                fallen = self._ledger.of_sample(fallen)
            rows.done.logical_or_(fallen)
            self._ledger.live = (~rows.done).long()
        return Query(wrap(loss), gradient, wrap(logits), wrap(rate > 0.5))

    def _allowed(self, x: Tensor) -> Tensor:
        """Whether ``x`` is in bounds and in the budget but for rounding, bool (n,); :mod:`advplug.verify` is exact."""
        lowest, highest = ops.lowest_and_highest(x)  # NaN where one value is, which no comparison lets pass
        fine = (lowest >= self.threat.bounds[0]) & (highest <= self.threat.bounds[1])
        if self.rows.epsilon is None:
            return fine
        distance = raw(ops.size(wrap(x - self.rows.inputs), self.threat.norm))
        return fine & (distance <= self.rows.epsilon * (1 + ROUNDING))

    @property
    def _on_host(self) -> bool:
        return self.rows.done.device.type == "cpu"

    def _success_rate(self, x: Tensor, logits: Tensor) -> Tensor:
        """Share of the draws that the criterion counts, float32 (n,)."""
        model, criterion, rows = self.problem.model, self.problem.criterion, self.rows
        if model.rejects:
            with torch.no_grad():
                decision = model.decide(x)
            self._ledger.forward(1)
            return criterion(decision, rows.labels, rows.targets).float()
        labels = logits.argmax(-1)
        success = criterion(Decision(labels, torch.ones_like(labels, dtype=torch.bool)), rows.labels, rows.targets)
        return success.float() if success.ndim == 1 else success.float().mean(0)

    def _check_finite(self) -> None:
        if not bool(self.rows.finite.all()):
            samples: Any = self.rows.samples[~self.rows.finite].tolist()
            raise NonFiniteLogits(
                f"the model returned NaN or infinite logits for samples {samples[:10]}: its answer there is undefined"
            )
