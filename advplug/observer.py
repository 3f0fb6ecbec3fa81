"""Watches an attack of another library, or a loop of one's own, through the model that it asks.

    with observe(model, images, labels, ThreatModel("linf", 8 / 255)) as seen:
        _, clipped, _ = foolbox_attack(foolbox.PyTorchModel(model, bounds=(0, 1)), images, labels, epsilons=8 / 255)
    print(seen.summary(clipped))

The attack gets the same bits as without: the model's hooks read what goes in and comes out, and draw no random number.

Which sample an input belongs to, nobody says. A batch of as many inputs as there are samples is taken to be all of
them, in their order. In any other batch each input belongs to the sample that is nearest in Euclidean distance, which
is right as long as perturbations are smaller than half the distance between two samples. Where that does not hold, say
which they are: ``with seen.rows(index): attack(images[index], labels[index])``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from advplug.criteria import Criterion
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem, make_problem
from advplug.engine.verification import allowed
from advplug.errors import InvalidInput
from advplug.model import check_scores_classes
from advplug.numerics.tensors import norms, raw
from advplug.threat import ThreatModel
from advplug.tracking import Recorder, Step, Tracker, step_of

__all__ = ["Observation", "observe"]

_OVER = 1e-4
"""Relative excess over the budget that counts as going over it; less is rounding."""


def observe(
    model: nn.Module,
    inputs: Any,
    labels: Any,
    threat: ThreatModel | str,
    *,
    targets: Any = None,
    criterion: Criterion | None = None,
    tracker: Tracker | None = None,
    seed: int = 0,
) -> Observation:
    """What a foreign attack does to ``model``, as a context manager around the attack.

    Parameters
    ----------
    model: the module that the attack asks: the very object, inside whatever the other library wraps around it. Its
        inputs lie in the bounds of ``threat``; a library that normalises them must do so inside the module.
    inputs, labels: the samples that are attacked, (N, ...) and (N,); torch or eagerpy tensors, or arrays.
    threat: what counts as an adversarial example, a ThreatModel or text.
    targets: classes (N,) to reach, for a targeted goal.
    criterion: what counts besides; the goal of the threat model unless given.
    tracker: hears of every call of the model.
    seed: of the model's randomness where we ask it ourselves, before and after the attack.

    Raises
    ------
    InvalidInput: as :func:`advplug.run`, for anything that cannot be attacked.
    """
    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f"the model is a {type(model).__name__}: pass the torch.nn.Module inside, which is what the attack asks"
        )
    x, y = torch.as_tensor(raw(inputs)), torch.as_tensor(raw(labels))
    aims = None if targets is None else torch.as_tensor(raw(targets))
    problem = make_problem(model, x, y.long(), threat, targets=aims, criterion=criterion)
    check_scores_classes(problem.model)
    return Observation(model, problem, tracker, seed)


class Observation:
    """What was seen. All tensors have one row for each of the N samples.

    Attributes
    ----------
    correct: bool, right (and accepted) before the attack.
    success: bool, right before, and some input that the attack asked about was in bounds, within the budget and counted
        by the criterion, and still is when the model decides on it afresh. Known at the end of the block.
    adversarials: the nearest such inputs; the clean input where there is none.
    distance: float64, their distance; NaN where there is none.
    queries, gradients: int64, how often the model was asked about the sample, and how often a gradient came back.
    out_of_bounds, over_budget, not_finite: int64, how many inputs of the sample left the bounds, left the budget
        (beyond rounding), or got NaN or infinite scores.
    lost: bool, no success, but some input counted by the scores that the attack saw, and did not when the model decided
        on it afresh: a detector rejects it, the model is random, or was asked in training mode.
    steps: :class:`advplug.tracking.Step` of each call; the loss is the cross-entropy's negative, low where the attacker
        succeeds.
    calls, in_training_mode, unread: calls of the model; those in training mode; and those that could not be read, as
        input or answer had another form.
    matched: how many calls were matched to samples by ``order``, by ``nearest``, or as ``given``.
    """

    def __init__(self, model: nn.Module, problem: Problem, tracker: Tracker | None, seed: int) -> None:
        self._model, self._problem, self._seed = model, problem, seed
        self._recorder = Recorder()
        self._tell = None if tracker is None else tracker.of_attack("observed")
        self._told = 0
        self._handles: list[RemovableHandle] = []
        self._pending: Tensor | None = None
        self._latest: tuple[Tensor, RemovableHandle] | None = None
        self._given: Tensor | None = None
        inputs = problem.inputs
        count, device = len(inputs), inputs.device
        for name in ("queries", "gradients", "out_of_bounds", "over_budget", "not_finite"):
            setattr(self, name, torch.zeros(count, dtype=torch.int64, device=device))
        self.queries: Tensor
        self.gradients: Tensor
        self.out_of_bounds: Tensor
        self.over_budget: Tensor
        self.not_finite: Tensor
        self.calls = self.in_training_mode = self.unread = 0
        self.matched = {"order": 0, "nearest": 0, "given": 0}
        self.adversarials = inputs.clone()
        self.distance = torch.full((count,), torch.nan, dtype=torch.float64, device=device)
        self.success = torch.zeros(count, dtype=torch.bool, device=device)
        self.lost = torch.zeros_like(self.success)
        with self._gateway() as gateway:
            clean = gateway.decide(gateway.cast(inputs))
        self.correct = (clean.labels == problem.labels) & clean.accepted

    # --- around the attack ---

    def __enter__(self) -> Observation:
        first, last = _ends(self._model)
        self._handles = [first.register_forward_pre_hook(self._before), last.register_forward_hook(self._after)]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._forget_gradient()
        self._pending = None
        self._tell_up_to(len(self.steps))
        if kind is None:  # otherwise what the attack raised is to be seen, and nothing that asking once more may raise
            self._verify()

    @contextmanager
    def rows(self, index: Any) -> Iterator[None]:
        """Inside the block each call is about the samples ``index``, int64 (n,), in that order."""
        before, self._given = self._given, torch.as_tensor(index, device=self.correct.device).long()
        try:
            yield
        finally:
            self._given = before

    # --- what was seen ---

    @property
    def steps(self) -> list[Step]:
        return self._recorder.steps

    @property
    def robust_accuracy(self) -> float:
        """Share of all samples that are right, and that no input broke that the attack asked about."""
        return float((self.correct & ~self.success).double().mean())

    def judged(self, returned: Any) -> Tensor:
        """Whether what the attack returned (N, ...) breaks each sample, bool (N,), as a success on the way is."""
        points = torch.as_tensor(raw(returned)).to(self._problem.inputs)
        if points.shape != self._problem.inputs.shape:
            shapes = f"{tuple(points.shape)}, the inputs have {tuple(self._problem.inputs.shape)}"
            raise InvalidInput(f"returned has shape {shapes}: give one for each sample, in their order")
        return self.correct & self._counts(points, torch.arange(len(points), device=points.device))

    def silent(self, returned: Any) -> Tensor:
        """Samples that the attack broke on its way and returned unbroken, bool (N,): successes that it lost."""
        return self.success & ~self.judged(returned)

    def summary(self, returned: Any = None) -> str:
        """What was seen, in lines; with what the attack ``returned``, also what it lost on its way."""
        samples = len(self.correct)
        lines = [
            f"{self.calls} calls of the model, {float(self.queries.double().mean()):.1f} queries and "
            f"{float(self.gradients.double().mean()):.1f} gradients a sample",
            f"{int(self.correct.sum())} of {samples} samples right before the attack, "
            f"{int(self.success.sum())} broken on its way",
        ]
        if returned is not None:
            judged, silent = self.judged(returned), self.silent(returned)
            lines.append(f"{int(judged.sum())} broken by what it returned, {int(silent.sum())} successes lost")
        seen = {
            "out of bounds": self.out_of_bounds,
            "over the budget": self.over_budget,
            "without finite scores": self.not_finite,
        }
        lines += [f"{int(number.sum())} inputs {what}" for what, number in seen.items() if bool(number.any())]
        if self.in_training_mode:
            lines.append(f"{self.in_training_mode} calls in training mode: call model.eval() before the attack")
        if self.unread:
            lines.append(f"{self.unread} calls could not be read: another shape of inputs, or no scores (n, K)")
        if bool(self.lost.any()):
            lines.append(f"{int(self.lost.sum())} samples seemed broken and are not when the model decides afresh")
        return "\n".join(lines)

    # --- inside the attack ---

    @torch.no_grad()
    def _before(self, _module: nn.Module, arguments: tuple[Any, ...]) -> None:
        x = arguments[0] if arguments else None
        shape = self._problem.inputs.shape[1:]
        if not isinstance(x, Tensor) or x.shape[1:] != shape or not x.is_floating_point():
            self._pending = None
            return
        self._pending = x.detach().clone()
        self._forget_gradient(of=x)
        if x.requires_grad:
            self._latest = x, x.register_hook(self._gradient_of(len(self.steps)))

    @torch.no_grad()
    def _after(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        x, self._pending = self._pending, None
        self.calls += 1
        self.in_training_mode += self._model.training
        if x is None or not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(x):
            self.unread += 1
            self._forget_gradient()
            return
        problem = self._problem
        x, logits = x.to(problem.inputs), output.detach().to(problem.inputs)
        rows = self._match(x)
        self.queries.index_add_(0, rows, torch.ones_like(rows))
        counted = self._record(x, logits, rows)
        labels = problem.labels[rows]
        loss = logits.log_softmax(1).gather(1, labels[:, None]).squeeze(1)
        step = step_of(
            x, problem.inputs[rows], norm=problem.threat.norm, samples=rows, labels=labels, loss=loss, logits=logits,
            success=counted, number=len(self.steps),
        )  # fmt: skip
        self._tell_up_to(len(self.steps))
        self._recorder.step(step)

    def _gradient_of(self, number: int) -> Any:
        def arrived(gradient: Tensor) -> None:
            if number < len(self.steps):
                step = self.steps[number]
                size = gradient.detach().flatten(1).norm(dim=1)
                self.steps[number] = replace(step, gradient_norm=size)
                self.gradients.index_add_(0, step.samples, torch.ones_like(step.samples))
            self._forget_gradient()

        return arrived

    def _forget_gradient(self, of: Tensor | None = None) -> None:
        """Await no gradient of the latest call any more: of any input, or of the tensor ``of`` alone."""
        if self._latest is not None and (of is None or self._latest[0] is of):
            self._latest[1].remove()
            self._latest = None

    def _tell_up_to(self, number: int) -> None:
        """Let the tracker hear of all calls before ``number``, whose gradients have arrived by now."""
        if self._tell is not None:
            for step in self.steps[self._told : number]:
                self._tell(step)
            self._told = number

    def _match(self, x: Tensor) -> Tensor:
        """Which sample each row of ``x`` belongs to, int64 (n,)."""
        inputs = self._problem.inputs
        if self._given is not None and len(self._given) == len(x):
            self.matched["given"] += 1
            return self._given
        if len(x) == len(inputs):
            self.matched["order"] += 1
            return torch.arange(len(x), device=inputs.device)
        self.matched["nearest"] += 1
        return torch.cdist(x.flatten(1), inputs.flatten(1)).argmin(1)

    def _record(self, x: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        """Note what ``x`` (n, ...) says about the samples ``rows``; which of them count, by these scores, bool (n,)."""
        problem = self._problem
        inputs, low, high = problem.inputs[rows], *problem.threat.bounds
        values = x.flatten(1)
        self._add(self.out_of_bounds, rows, ~((values >= low) & (values <= high)).all(1))
        self._add(self.not_finite, rows, ~logits.isfinite().all(1))
        distance = norms(x.double() - inputs.double(), problem.threat.norm)
        if problem.epsilon is not None:
            self._add(self.over_budget, rows, distance > problem.epsilon[rows] * (1 + _OVER))
        wrong = logits.argmax(1) != problem.labels[rows]
        if isinstance(problem.targets, Tensor):
            wrong = logits.argmax(1) == problem.targets[rows]
        counted = wrong & logits.isfinite().all(1) & self._allowed(x, rows)
        self._keep_nearest(x, distance, rows, counted)
        return counted

    @staticmethod
    def _add(count: Tensor, rows: Tensor, holds: Tensor) -> None:
        count.index_add_(0, rows, holds.long())

    def _keep_nearest(self, x: Tensor, distance: Tensor, rows: Tensor, counted: Tensor) -> None:
        """Keep those of ``x`` that are counted and nearer than what was found before, of several the nearest."""
        chosen = counted.nonzero().squeeze(1)
        found, before = distance[chosen], self.distance.nan_to_num(nan=torch.inf)
        nearest = before.scatter_reduce(0, rows[chosen], found, "amin")
        own = rows[chosen]
        better = (found == nearest[own]) & (found < before[own])
        self.adversarials[own[better]] = x[chosen[better]]
        self.distance[own[better]] = found[better]

    def _allowed(self, x: Tensor, rows: Tensor) -> Tensor:
        problem = self._problem
        epsilon = None if problem.epsilon is None else problem.epsilon[rows]
        return allowed(x, problem.inputs[rows], epsilon, problem.region.at(rows))

    # --- after the attack ---

    def _gateway(self) -> Gateway:
        return Gateway(self._problem.model, self._problem.inputs[:1], seed=self._seed)

    def _counts(self, points: Tensor, rows: Tensor) -> Tensor:
        """Whether the model counts ``points`` (n, ...) as broken when it decides on them afresh, bool (n,)."""
        problem = self._problem
        if not len(rows):
            return torch.zeros_like(rows, dtype=torch.bool)
        with self._gateway() as gateway:
            rate = gateway.success_rate(
                gateway.cast(points),
                problem.criterion,
                labels=problem.labels[rows],
                targets=problem.targets[rows] if isinstance(problem.targets, Tensor) else None,
                draws=problem.options.draws,
            )
        return (rate > 0.5) & self._allowed(points, rows)

    def _verify(self) -> None:
        """Judge the nearest adversarials afresh, and give up those that do not hold."""
        rows = self.distance.isfinite().nonzero().squeeze(1)
        holds = self._counts(self.adversarials[rows], rows)
        fallen = rows[~holds]
        self.adversarials[fallen] = self._problem.inputs[fallen]
        self.distance[fallen] = torch.nan
        self.lost[fallen] = self.correct[fallen]
        self.success[rows] = holds & self.correct[rows]


def _ends(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Where inputs enter and scores leave: ART calls the parts of a Sequential one by one, and never the whole."""
    if isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward and len(model):
        everywhere = [id(module) for module in model.modules()]
        listed = [id(part) for part in model]
        first, last = model[0], model[-1]
        if all(listed.count(id(part)) == 1 and everywhere.count(id(part)) == 1 for part in (first, last)):
            return first, last
    return model, model
