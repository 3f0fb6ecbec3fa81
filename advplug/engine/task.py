"""What the engine offers an attack: one batch, its gradients, its projections, its random numbers.

Here is the border between eagerpy and torch. An attack and a loss see eagerpy tensors; everything below, in the
engine, is torch. A method of :class:`Task` unwraps what the attack hands in and wraps what it hands out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import eagerpy as ep
import torch
from torch import Tensor

from advplug.criteria import Criterion
from advplug.engine.best_points import BestPoints, Cost, Rows, Trace
from advplug.engine.gateway import CACHES, Gateway
from advplug.engine.objective import Objective
from advplug.engine.problem import Problem
from advplug.engine.query_counter import QueryCounter
from advplug.errors import InvalidInput
from advplug.losses import Loss
from advplug.numerics.projections import PROJECTIONS
from advplug.numerics.random_numbers import Noise
from advplug.numerics.starting_points import random_start
from advplug.numerics.tensors import raw, wrap
from advplug.numerics.trees import take
from advplug.threat import ThreatModel
from advplug.tracking import step_of

S = TypeVar("S")


@dataclass(frozen=True)
class Query:
    """What one evaluation tells: ``loss`` (n,), ``logits`` (n, K), ``success`` bool (n,).

    Under a loss of M values per sample, ``loss`` is (n, M). ``success`` leaves the budget out: whether the criterion
    counts the point, and the attack's extra condition holds.
    """

    loss: ep.Tensor
    logits: ep.Tensor
    success: ep.Tensor


@dataclass(frozen=True)
class GradientQuery(Query):
    """The same with the ``gradient`` of the loss, (n, ...); (n, M, ...) under a loss of M values."""

    gradient: ep.Tensor


class Task:
    """One batch under attack. Every point that is evaluated is a candidate; the best one of each sample is kept.

    Attributes
    ----------
    problem: what is attacked; its tensors have a row for each sample of the whole set.
    t: number of the current step.
    restart: number of this restart, 0 for the first: some attacks start from the input there, and at random later.
    prepared: what :meth:`advplug.attack.Attack.prepare` returned.
    best_points, gateway, tick: the engine's own: the tracker behind this task, the model, the report of progress.
    """

    def __init__(
        self,
        problem: Problem,
        gateway: Gateway,
        rows: Rows,
        counter: QueryCounter,
        tick: Callable[[int], None],
        *,
        loss: Loss,
        cost: Cost,
        prepared: Any = None,
        restart: int = 0,
        shared: bool = False,
    ) -> None:
        self.problem = problem
        self.prepared = prepared
        self.restart = restart
        self.t = 0
        self.best_points = BestPoints(problem, gateway, rows, counter=counter, cost=cost, shared=shared)
        self.gateway, self.tick = gateway, tick
        self._counter, self._loss = counter, loss
        self._limits: tuple[Tensor, Tensor] | None
        self._read_rows()

    # --- what an attack reads ---

    @property
    def threat(self) -> ThreatModel:
        """Norm, bounds and goal."""
        return self.problem.threat

    @property
    def inputs(self) -> ep.Tensor:
        """The clean samples (n, ...)."""
        return wrap(self._rows.inputs)

    @property
    def labels(self) -> ep.Tensor:
        """True classes, int64 (n,)."""
        return wrap(self._rows.labels)

    @property
    def targets(self) -> ep.Tensor | None:
        """Classes to reach, int64 (n,), or None."""
        return None if self._rows.targets is None else wrap(self._rows.targets)

    @property
    def samples(self) -> ep.Tensor:
        """Number of each sample in the tensors of :attr:`problem`, int64 (n,)."""
        return wrap(self._rows.samples)

    @property
    def lower(self) -> ep.Tensor:
        """The least values (n, ...) that a point may have: the bounds, already cut to the budget under linf."""
        return wrap(self._rows.lower)

    @property
    def upper(self) -> ep.Tensor:
        """The greatest values (n, ...) that a point may have."""
        return wrap(self._rows.upper)

    @property
    def epsilon(self) -> ep.Tensor:
        """Budgets (n,) in the dtype of the inputs.

        Raises
        ------
        InvalidInput: the run is a minimum-norm one and has none.
        """
        if self._rows.epsilon is None:
            raise InvalidInput("a minimum-norm run has no budget: read task.epsilon only where there is one")
        return wrap(self._rows.epsilon.to(self._rows.inputs.dtype))

    @property
    def starting_points(self) -> ep.Tensor | None:
        """Points like the inputs that the caller gave, or None."""
        return None if self._rows.starting_points is None else wrap(self._rows.starting_points)

    @property
    def noise(self) -> Noise:
        """Random numbers that belong to the samples."""
        return self._rows.noise

    @property
    def best(self) -> ep.Tensor:
        """The best points so far (n, ...), in earlier rounds of a minimum-norm run too; the inputs where none is."""
        return wrap(self._rows.best_x)

    @property
    def best_cost(self) -> ep.Tensor:
        """In a minimum-norm run the cost (as a rule the distance) of :attr:`best`, (n,); infinite where none is."""
        return wrap(self._rows.best_cost.to(self._rows.inputs.dtype))

    @property
    def finished(self) -> bool:
        """No sample is left to search for."""
        return len(self._rows.samples) == 0

    # --- what an attack asks ---

    def gradient(self, x: ep.Tensor) -> ep.Tensor:
        """Gradient of the loss at ``x`` (n, ...); the one forward pass also serves success and best point."""
        return self.query(x).gradient

    def query(
        self,
        x: ep.Tensor,
        condition: Criterion | None = None,
        *,
        loss: Loss | None = None,
        targets: ep.Tensor | None = None,
        judge: bool = True,
    ) -> GradientQuery:
        """Loss, gradient, logits and success at ``x`` (n, ...).

        Parameters
        ----------
        condition: what a point must meet to count, beyond the goal; such as :class:`advplug.criteria.Confident`.
        loss: stands in for the task's; its values stay out of the trace.
        targets: int64 (n,), classes that the attack chose to steer to where the threat model names none: the loss sees
            them, the criterion does not.
        judge: False counts the point as no success and asks the model for no decision, which behind a detector may cost
            as much as many gradients: for attacks that say themselves which of their points to judge.
        """
        point = self._held(raw(x))
        estimate = self.problem.gradient(self._steering(loss, targets), point, self._rows.noise, self.t)
        gradient = self.best_points.usable(estimate.gradient)
        if self._region.mask is not None:  # what may not change has no part in the search
            gradient = gradient * (self._region.mask if gradient.ndim == point.ndim else self._region.mask[:, None])
        success, logits = self.best_points.record(
            point, estimate.loss, estimate.logits, condition=condition, comparable=loss is None, judge=judge
        )
        self._tell(point, estimate.loss, logits, success, gradient)
        return GradientQuery(wrap(estimate.loss), wrap(logits), wrap(success), wrap(gradient))

    def evaluate(
        self,
        x: ep.Tensor,
        condition: Criterion | None = None,
        *,
        targets: ep.Tensor | None = None,
        judge: bool = True,
    ) -> Query:
        """Loss, logits and success at ``x`` (n, ...), without a gradient; the options are those of :meth:`query`."""
        point = self._held(raw(x))
        loss, logits = self._steering(None, targets).value(point)
        success, logits = self.best_points.record(point, loss, logits, condition=condition, judge=judge)
        self._tell(point, loss, logits, success)
        return Query(wrap(loss), wrap(logits), wrap(success))

    def judge(self, x: ep.Tensor) -> None:
        """Evaluate ``x`` (n, ...), the end of a search, as often as its success is verified: one draw may refuse it."""
        for _ in range(self.problem.options.draws if self.problem.model.stochastic else 1):
            self.evaluate(x)

    def evaluate_best(self, points: ep.Tensor) -> tuple[ep.Tensor, ep.Tensor]:
        """The points (n, ...) of least loss among ``points`` (m, n, ...), and their loss (n,); only they are judged."""
        x = self._held(raw(points))
        if len(x) == 1:
            return wrap(x[0]), self.evaluate(wrap(x[0])).loss
        # On the host, batches that outgrow the caches take longer than their parts.
        chunks = self._objective.chunks(len(x), rows_per_draw=CACHES if self.best_points.on_host else 1)
        found = [self._objective.tiled(many).value(x[first : first + many].flatten(0, 1)) for first, many in chunks]
        loss = torch.cat([values.unflatten(0, (-1, x.shape[1])) for values, _ in found])
        logits = torch.cat([scores.unflatten(0, (-1, x.shape[1])) for _, scores in found])
        least, rows = loss.argmin(0), torch.arange(x.shape[1], device=x.device)
        x, loss = x[least, rows], loss[least, rows]
        success, scores = self.best_points.record(x, loss, logits[least, rows])
        self._tell(x, loss, scores, success)
        return wrap(x), wrap(loss)

    def losses(self, points: Callable[[int, int], ep.Tensor], count: int) -> ep.Tensor:
        """Losses (count, n) of ``count`` points around each sample: charged, not judged, and never the best point.

        ``points(first, many)`` makes those from number ``first`` on, (many, n, ...): as many as fit into memory.
        """
        pieces = []
        for first, many in self._objective.chunks(count):
            x = self._held(raw(points(first, many)))
            values, _ = self._objective.tiled(many).value(x.flatten(0, 1))
            pieces.append(values.unflatten(0, (many, len(self._rows.samples))))
        return wrap(torch.cat(pieces))

    def finish(self, done: ep.Tensor) -> None:
        """Search no further for the samples of ``done``, bool (n,): they keep their best point and leave the batch."""
        self.best_points.finish(raw(done))

    def charge(self, forwards: Tensor | int, backwards: Tensor | int = 0) -> None:
        """Charge passes made outside ``query`` and ``evaluate``.

        Numbers are charged to every sample that still searches; int64 (n,) as they are, for attacks of other libraries.
        """
        live = self._counter.live
        self._counter.charge(
            forwards * live if isinstance(forwards, int) else forwards,
            backwards * live if isinstance(backwards, int) else backwards,
        )

    def ask(self, function: Callable[[Tensor], Tensor], x: ep.Tensor) -> Tensor:
        """``function(x)`` of the model, such as its ``detector_scores``, without a gradient: one pass for each sample.

        ``x`` (n, ...) reaches the model as a copy in the model's dtype.
        """
        self.charge(1)
        with torch.no_grad():
            return self.gateway.ask(function, raw(x))

    # --- where an attack may go ---

    def random_start(self) -> ep.Tensor:
        """A point drawn uniformly from the ball of radius epsilon, cut to the box (under linf: from the cut box)."""
        width = self.threat.bounds[1] - self.threat.bounds[0]
        start = random_start(self.threat.norm, self._rows.inputs, raw(self.epsilon), self._rows.noise, width)
        return self.project(wrap(start))

    def start(self, random: bool) -> ep.Tensor:
        """The given starting points if the caller gave some, else a random one or the inputs."""
        if self.starting_points is not None:
            return self.project(self.starting_points)
        return self.random_start() if random else self.inputs

    def project(self, x: ep.Tensor) -> ep.Tensor:
        """The nearest point to ``x`` (n, ...) that the threat model allows."""
        if self.threat.norm == "linf" or self._rows.epsilon is None:
            return ep.minimum(ep.maximum(x, self.lower), self.upper)
        clean = self._rows.inputs.flatten(1)
        low, high = self._rows.lower.flatten(1) - clean, self._rows.upper.flatten(1) - clean
        radius = raw(self.epsilon)[:, None]
        delta = PROJECTIONS[self.threat.norm](raw(x).flatten(1) - clean, radius, low, high)
        return wrap((clean + delta).view_as(self._rows.inputs))

    def clip(self, x: ep.Tensor) -> ep.Tensor:
        """``x`` (n, ...) cut to the bounds of valid inputs, whatever the budget: for minimum-norm attacks."""
        return wrap(self._held(raw(x.clip(*self.threat.bounds))))

    def drop_finished(self, state: S) -> S:
        """End of a step: report progress, and drop the samples that are done from the batch and from ``state``."""
        self.tick(len(self._rows.samples))
        keep = self.best_points.drop(self.t)
        if keep is None:
            return state
        self._read_rows()
        kept: S = take(state, keep)
        return kept

    # --- what the engine asks ---

    def close(self) -> tuple[list[Rows], Trace]:
        """All rows with their best points, in no particular order, and the losses of all evaluations."""
        return self.best_points.close(), self.best_points.trace

    @property
    def _rows(self) -> Rows:
        return self.best_points.rows

    def _held(self, x: Tensor) -> Tensor:
        """``x`` (..., n, ...) in the region of the threat model: whatever an attack computes, only those are asked."""
        if self._limits is None:
            return x.detach()
        low, high = self._limits
        return torch.minimum(torch.maximum(x.detach(), low), high)

    def _read_rows(self) -> None:
        """What follows from the samples that are left."""
        rows, self._region = self._rows, self.problem.region.at(self._rows.samples)
        self._objective, self._limits = self._of_batch(), None
        if not self._region.uniform:
            budget = None if self._region.shares is None else rows.epsilon
            self._limits = self._region.limits(rows.inputs, budget, rows.inputs.dtype)

    def _tell(self, x: Tensor, loss: Tensor, logits: Tensor, success: Tensor, gradient: Tensor | None = None) -> None:
        """Let who follows the run hear of an evaluation at ``x`` (n, ...)."""
        listen, rows = self.problem.options.listen, self._rows
        if listen is not None:
            found = {"loss": loss, "logits": logits, "success": success, "gradient": gradient}
            labels = rows.labels if self.problem.model.scores_classes else None
            given = {"samples": self.problem.samples[rows.samples], "labels": labels, "restart": self.restart}
            listen(step_of(x, rows.inputs, norm=self.threat.norm, **given, **found))  # type: ignore[arg-type]

    def _of_batch(self) -> Objective:
        """The objective on the samples that are left."""
        return self.problem.objective(self.gateway, self._loss, self._counter, self._rows.samples, self._rows.targets)

    def _steering(self, loss: Loss | None, targets: ep.Tensor | None) -> Objective:
        """The objective with another loss, or towards other classes."""
        objective = self._objective if loss is None else replace(self._objective, loss=loss)
        return objective if targets is None else replace(objective, targets=raw(targets))
