"""One attack on every sample: rounds, batches, best points, verification. Knows no attack's mathematics."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from advplug.attack import Attack
from advplug.engine.best_points import Rows, Trace
from advplug.engine.bisection import ROUNDS, Budgets
from advplug.engine.frozen import Weights
from advplug.engine.gateway import CACHES, Gateway, out_of_memory
from advplug.engine.problem import Problem
from advplug.engine.query_counter import QueryCounter
from advplug.engine.references import referring
from advplug.engine.result import AttackResult
from advplug.engine.task import Task
from advplug.engine.verification import allowed, shrink_to_budget
from advplug.errors import RobustnessWarning
from advplug.gradients import Exact
from advplug.model import Decision
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tensors import norms
from advplug.numerics.trees import take


def search(attack: Attack, problem: Problem) -> AttackResult:
    """Run ``attack`` on every sample that is right before it, in as many rounds as restarts and targets ask for.

    Without a budget an attack that needs one runs within one after the other: see :mod:`advplug.engine.bisection`.

    Raises
    ------
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    with problem.gateway() as gateway:
        run = _Run(attack, problem, gateway)
        if problem.epsilon is None and not attack.minimum_norm:
            run.bisect()
        else:
            for number, targets in run.rounds():
                run.round(number, targets, run.standing())
        run.search_deeper_for_lost()
        run.judge_afresh()
        return replace(run.result, tried=run.points) if problem.model.stochastic else run.result


_SHOWN = ("inputs", "labels", "targets", "epsilon", "samples", "starting_points")
"""What a problem holds for each sample."""

_IN_HALF = (1e-2, 0.03, 0.1, 0.3)
"""How much further a point is pushed against a model of half precision, as shares of its distance."""


class _Run:
    """The state of one call of :func:`search`."""

    def __init__(self, attack: Attack, problem: Problem, gateway: Gateway) -> None:
        self.attack, self.problem, self.gateway = attack, problem, gateway
        shown = {name: getattr(problem, name) for name in _SHOWN}
        self.copies: dict[str, Any] = {name: part.clone() for name, part in shown.items() if isinstance(part, Tensor)}
        """What the attack sees of the problem: whatever it writes there, successes are judged on the problem itself."""
        self.weights = Weights(problem.model)
        model = problem.model
        self.inputs = gateway.cast(problem.inputs)
        self.stops = problem.epsilon is not None and problem.options.early_end and not model.stochastic
        clean = self._clean_decisions()
        wrong = torch.stack([(d.labels != problem.labels) | ~d.accepted for d in clean]).float().mean(0)
        self.result = AttackResult.empty(problem.inputs, wrong < 0.5, wrong, problem.options.restarts)
        self.counter = QueryCounter(len(problem.inputs), problem.inputs.device)
        self.cost = torch.full_like(self.result.distance, torch.inf)
        self.steps_done = self.rounds_done = 0
        self.points, self.aims = problem.inputs.clone(), torch.full_like(problem.labels, -1)
        """The best points so far and the classes that they aimed at, of a random model also those below one half."""
        self.classes = problem.target_classes
        self.at_once = min(problem.options.targets_at_once, self.classes, gateway.max_rows)
        self.total_rounds = problem.options.restarts * -(-self.classes // self.at_once)
        self.prepared = self._prepare()

    def _clean_decisions(self) -> list[Decision]:
        """On the inputs; where the first step asks about all of them in one pass, that pass is shared with it."""
        attack, problem, gateway = self.attack, self.problem, self.gateway
        model, loss, size = problem.model, problem.loss or attack.default_loss, problem.options.batch_size
        answers_alike = gateway.searched is model and not (model.stochastic or model.rejects or model.batch_dependent)
        one_pass = len(self.inputs) <= min(gateway.max_rows, size or gateway.max_rows) and not loss.layers
        named = problem.num_targets is None and not isinstance(problem.targets, str)  # others are found by their scores
        if attack.begins_at_inputs and answers_alike and one_pass and named and type(problem.gradient) is Exact:
            return [gateway.decide_and_keep(self.inputs)]
        return gateway.decisions(self.inputs, problem.options.draws)

    def _prepare(self) -> Any:
        """What the attack makes of the problem before the search; its queries are shared among the attacked samples."""
        attacked = self.standing()
        if not bool(attacked.any()):
            return None
        before = self.gateway.asked
        self.problem = referring(self.problem, self.gateway)
        prepared = self.attack.prepare(replace(self.problem, **self.copies), self.gateway)
        if type(self.attack).prepare is not Attack.prepare:
            self._put_back()
        self.counter.forwards[attacked] += -(-(self.gateway.asked - before) // int(attacked.sum()))
        return prepared

    def rounds(self) -> Iterator[tuple[int, Tensor | None]]:
        """Pairs (restart, targets (N,) or (N, several)) until nothing is left to attack."""
        for restart in range(self.problem.options.restarts):
            for targets in self._target_sets():
                if bool(self.standing().any()):
                    yield restart, targets

    def bisect(self) -> None:
        """Run the attack within smaller and smaller budgets, from the last success on."""
        whole, budgets = self.problem, Budgets(self.problem)
        self.total_rounds *= ROUNDS
        for _ in range(ROUNDS):
            epsilon, tried = budgets.next, self.result.correct & budgets.open
            if not bool(tried.any()):
                break
            threat = replace(whole.threat, epsilon=float(epsilon.max()))
            self.problem = replace(whole, threat=threat, epsilon=epsilon)
            self.copies["epsilon"] = epsilon.clone()
            for restart in range(whole.options.restarts):
                for targets in self._target_sets():
                    self._within(tried & ~(self.result.distance <= epsilon), restart, targets)
            budgets.learn(tried, epsilon, self.result.distance)
        self.problem = whole

    def _within(self, attacked: Tensor, restart: int, targets: Tensor | None) -> None:
        """A round of the bisection: the first one of a sample that was broken before begins at its best point."""
        problem, warm = self.problem, attacked & self.result.success & (restart == 0)
        for rows, start in ((warm, self.result.adversarials), (attacked & ~warm, problem.starting_points)):
            if bool(rows.any()):
                self.problem = replace(problem, starting_points=start)
                self.copies["starting_points"] = None if start is None else start.clone()
                self.round(restart, targets, rows)
        self.problem = problem

    def round(self, restart: int, targets: Tensor | None, attacked: Tensor) -> None:
        """Attack the samples that are ``attacked``, bool (N,), in batches that fit."""
        self.rounds_done += 1
        rows = attacked.nonzero().squeeze(1)
        fits = self.gateway.max_rows
        if self.at_once > 1 and rows.device.type == "cpu":
            fits //= CACHES  # targets fill a batch that few samples do not; a larger one takes longer than its parts
        size = min(self.problem.options.batch_size or len(rows), max(1, fits // self.at_once))
        traces: list[Trace] = []
        queue = list(rows.split(size))
        while queue:
            chunk = queue.pop(0)
            try:
                traces.append(self._batch(chunk, restart, targets))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or (not self.gateway.halve() and len(chunk) == 1):
                    raise  # otherwise the batch is repeated: random numbers belong to samples, so they are the same
                queue[:0] = chunk.split(max(1, len(chunk) // 2))
        self._store_traces(traces, restart)

    def search_deeper_for_lost(self) -> None:
        """Attack samples again whose success did not hold, past the first success: they left the search too early."""
        if not self.stops or not bool(self.result.lost.any()):
            return
        self.problem = replace(self.problem, options=replace(self.problem.options, early_end=False))
        for targets in self._target_sets():
            if bool(self.result.lost.any()):
                self.round(self.problem.options.restarts, targets, self.result.lost.clone())
        if count := int(self.result.lost.sum()):
            told = f"{count} samples broke in the search and not when they were judged again; they count as robust"
            warnings.warn(told, RobustnessWarning, stacklevel=5)

    def judge_afresh(self) -> None:
        """Judge the best points of a random model once more: the best of many estimates is too good by chance."""
        problem, result = self.problem, self.result
        rows = (result.success_rate > 0).nonzero().squeeze(1)
        if not problem.model.stochastic or self.rounds_done < 2 or not len(rows):
            return
        rate = self.gateway.success_rate(
            self.gateway.cast(self.points[rows]),
            problem.criterion,
            labels=problem.labels[rows],
            targets=self.aims[rows] if problem.has_targets else None,
            draws=problem.options.draws,
        )
        result.success_rate[rows] = rate
        fallen = rows[(rate <= 0.5) & result.success[rows]]
        result.success[fallen], result.distance[fallen] = False, torch.nan
        result.adversarials[fallen] = problem.inputs[fallen]
        result.restart[fallen], result.target[fallen] = -1, -1

    def _batch(self, rows: Tensor, restart: int, targets: Tensor | None) -> Trace:
        if targets is not None:
            targets = targets[rows]
            rows = rows.repeat_interleave(targets[0].numel())  # one for each target
            targets = targets.flatten()
        shared = self.at_once > 1
        task = Task(
            replace(self.problem, **self.copies),
            self.gateway,
            self._rows(rows, restart, targets),
            self.counter,
            self._tick,
            loss=self.problem.loss or self.attack.default_loss,
            cost=self.attack.cost,
            prepared=self.prepared,
            restart=restart,
            shared=shared,
        )
        if task.starting_points is not None:
            task.evaluate(task.project(task.starting_points))  # an adversarial one counts, wherever the attack begins
        self.attack.run(task)
        self._put_back()
        parts, trace = task.close()
        for part in (self._as_given(one, rows, targets) for one in parts):
            for piece in _one_for_each_sample(part) if shared else [part]:
                if len(piece.samples):
                    self._keep(piece, restart)
        return trace

    def _put_back(self) -> None:
        """Give the model its weights again, if the attack changed them."""
        if self.weights.put_back():
            told = f"{type(self.attack).__name__} changed weights of the model; they were put back before it was judged"
            warnings.warn(told, RobustnessWarning, stacklevel=6)

    def _as_given(self, part: Rows, rows: Tensor, targets: Tensor | None) -> Rows:
        """``part`` of the batch of ``rows`` with its samples as they are, whatever the attack made of its copies."""
        problem, samples = self.problem, rows[part.place]
        return replace(
            part,
            samples=samples,
            inputs=self.inputs[samples],
            labels=problem.labels[samples],
            targets=None if targets is None else targets[part.place],
            epsilon=None if problem.epsilon is None else problem.epsilon[samples],
        )

    def _rows(self, rows: Tensor, restart: int, targets: Tensor | None) -> Rows:
        problem, inputs = self.problem, self.inputs[rows]
        epsilon = None if problem.epsilon is None else problem.epsilon[rows]
        lower, upper = problem.region.at(rows).limits(problem.inputs[rows], epsilon, self.gateway.dtype)
        given = problem.starting_points
        starting_points = None if given is None else self.gateway.cast(given[rows])
        best = inputs.clone()
        if epsilon is None:  # an earlier round's point stands until a nearer one is found
            best = self.gateway.cast(self.result.adversarials[rows])
        return Rows(
            samples=rows.clone(),
            place=torch.arange(len(rows), device=rows.device),
            inputs=inputs,
            labels=problem.labels[rows],
            targets=None if targets is None else targets.clone(),
            epsilon=epsilon,
            lower=lower,
            upper=upper,
            noise=Noise.of(problem.options.seed, problem.samples[rows], restart),
            starting_points=starting_points,
            best_x=best,
            best_rate=torch.zeros(rows.shape, dtype=torch.float32, device=rows.device),
            best_seen=torch.zeros(rows.shape, dtype=torch.float32, device=rows.device),
            best_cost=self.cost[rows] if epsilon is None else torch.full_like(self.cost[rows], torch.inf),
            done=torch.zeros_like(rows, dtype=torch.bool),
            finite=torch.ones_like(rows, dtype=torch.bool),
            unusable=torch.zeros_like(rows),
        )

    def _keep(self, part: Rows, restart: int) -> None:
        """Verify the best points on the arrays that will be returned, and keep those that beat earlier rounds."""
        problem, result = self.problem, self.result
        result.unusable_gradients[part.samples] += part.unusable
        if problem.model.rejects:
            decision = self.gateway.decide(part.best_x)
            detected = (decision.labels != part.labels) & ~decision.accepted
            result.detected[part.samples] = detected & ~result.success[part.samples]
        result.given_up[part.samples] |= part.done & (part.best_rate <= 0) & ~result.success[part.samples]
        # What breaks the copy that was searched breaks the model, here or a little further.
        found = (part.best_rate > 0) | (part.best_seen > 0)
        if not bool(found.any()):
            return
        part = take(part, found.nonzero().squeeze(1))
        rows, original, targets = part.samples, problem.inputs[part.samples], part.targets
        region = problem.region.at(rows)
        candidates = shrink_to_budget(part.best_x, original, part.epsilon, problem.threat).to(original.dtype)
        candidates = region.hold(candidates, original, part.epsilon)
        rate = self._success_rate(part, candidates)
        if not problem.model.stochastic:
            candidates, rate = self._pushed_over(part, candidates, rate)
        rate = torch.where(allowed(candidates, original, part.epsilon, region), rate, 0)
        if not problem.model.stochastic:  # of one that is, fresh draws are expected to differ
            result.lost[rows] |= (part.best_rate > 0) & (rate <= 0.5) & ~result.success[rows]
        delta = candidates.double() - original.double()
        distance, cost = norms(delta, problem.threat.norm), self.attack.cost(delta, problem.threat.norm)
        closer = cost < self.cost[rows]
        better = (rate > result.success_rate[rows]) | ((rate == result.success_rate[rows]) & (rate > 0) & closer)
        result.success_rate[rows[better]] = rate[better]
        self.points[rows[better]] = candidates[better]
        if targets is not None:
            self.aims[rows[better]] = targets[better]
        won = better & (rate > 0.5)
        rows = rows[won]
        result.success[rows] = True
        result.lost[rows] = False
        result.given_up[rows] = False
        result.detected[rows] = False
        result.adversarials[rows] = candidates[won]
        result.distance[rows] = distance[won]
        self.cost[rows] = cost[won]
        result.restart[rows] = restart
        if targets is not None:
            result.target[rows] = targets[won]

    def _success_rate(self, part: Rows, candidates: Tensor) -> Tensor:
        """Share of fresh decisions on ``candidates`` that count, float32 (n,)."""
        return self.gateway.success_rate(
            self.gateway.cast(candidates),
            self.problem.criterion,
            labels=part.labels,
            targets=part.targets,
            draws=self.problem.options.draws,
        )

    def _pushed_over(self, part: Rows, candidates: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        """Push candidates that a fresh decision refuses a hair further, at most by a thousandth of their distance.

        The nearest point lies so close to the boundary that the rounding of another batch size can turn its answer; in
        half precision the answer turns in steps, and up to a third of the distance is tried. One that is pushed out of
        its budget is refused all the same.
        """
        clean = part.inputs.to(candidates.dtype)
        for share in (1e-5, 1e-4, 1e-3, *(_IN_HALF if self.gateway.is_half else ())):
            refused = (rate <= 0.5).nonzero().squeeze(1)
            if not len(refused):
                break
            further = (candidates + share * (candidates - clean)).clamp(*self.problem.threat.bounds)[refused]
            further = self.problem.region.at(part.samples[refused]).hold(further, clean[refused], None)
            candidates = candidates.index_copy(0, refused, further)
            rate = rate.index_copy(0, refused, self._success_rate(take(part, refused), further))
        return candidates, rate

    def standing(self) -> Tensor:
        """Samples worth another round: right before the attack, and not broken unless better points still count.

        Of a stochastic model a point counts for more than another as long as some draw withstands it.
        """
        result, options = self.result, self.problem.options
        if self.stops:
            return result.correct & ~result.success
        if self.problem.epsilon is not None and options.early_end:
            return result.correct & (result.success_rate < 1)
        return result.correct

    def _target_sets(self) -> Iterator[Tensor | None]:
        problem = self.problem
        if problem.num_targets is not None or isinstance(problem.targets, str):
            yield from self._other_classes()[:, : self.classes].split(self.at_once, dim=1)
        else:
            yield problem.targets

    def _other_classes(self) -> Tensor:
        """All classes but the true one, the likeliest on the clean input first, int64 (N, K - 1)."""
        logits = self.gateway.scores(self.inputs)
        logits = logits.scatter(1, self.problem.labels[:, None], -torch.inf)
        return logits.argsort(dim=1, descending=True, stable=True)[:, :-1]

    def _store_traces(self, traces: list[Trace], restart: int) -> None:
        length = max((len(trace) for trace in traces), default=0)
        table = torch.full((length, len(self.inputs)), torch.inf, dtype=torch.float32, device=self.inputs.device)
        for trace in traces:
            for step, (rows, loss) in enumerate(trace):  # the least where a sample has several rows
                values = torch.where(loss.isnan(), torch.inf, loss).to(table.dtype)
                table[step].scatter_reduce_(0, rows, values, "amin")
        table = torch.where(table == torch.inf, torch.nan, table)
        self.result.evaluations[:, 0, restart] += length
        self.result = replace(
            self.result,
            trace=torch.cat((self.result.trace, table)),
            forwards=self.counter.forwards,
            backwards=self.counter.backwards,
        )

    def _tick(self, alive: int) -> None:
        self.steps_done += 1
        if self.problem.options.progress is not None:
            total = self.attack.planned_steps * self.total_rounds
            self.problem.options.progress(min(self.steps_done, total), total, alive)


def _one_for_each_sample(part: Rows) -> Iterator[Rows]:
    """``part`` in pieces that hold no sample twice, so that writing to its samples is well defined."""
    ordered, order = part.samples.sort(stable=True)
    place = torch.arange(len(order), device=order.device) - torch.searchsorted(ordered, ordered)
    for number in range(int(place.max()) + 1 if len(place) else 0):
        yield take(part, order[place == number])
