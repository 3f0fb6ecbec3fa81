"""What a model hides, and the gradients that are worth a search: candidates, tried on real forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from advplug.attack import IterativeAttack, Point, Task
from advplug.criteria import Misclassified, Targeted
from advplug.engine.gateway import inside
from advplug.engine.problem import Problem
from advplug.engine.query_counter import QueryCounter
from advplug.engine.stages import run_attack
from advplug.gradients import BPDA, EOT, ROUNDING, Exact, FiniteDifference, GradientEstimator, Smoothed, noise_within
from advplug.intake.code import said
from advplug.losses import Margin
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tensors import per_sample, unit
from advplug.records.composition import Place
from advplug.spelling import written
from advplug.tracing.places import own_modules, places
from advplug.tracing.replay import score_operations
from advplug.tracing.trace import Call, trace
from advplug.tracing.traced import Traced
from advplug.tracing.whole import of_the_whole

SAMPLES = 24
"""How many samples candidates are tried on, at most."""

BUDGETS = (1.0, 2.0, 4.0)
"""Multiples of the budget: a robust network and a hidden gradient look alike at one, and not at all of them."""

ENOUGH = 0.9
"""Share broken, the mean over the budgets, above which estimates from scores alone are not tried: they cost more."""

DRAWS = 8
"""Passes that are averaged for a random model."""

LOSSES = ("dead", "constant", "disconnected", "replaced")
MOST_EXITS = 3


@dataclass(frozen=True)
class Candidate:
    """A gradient that was tried: ``text`` as ``--gradients`` reads it.

    ``lowers`` is the share that a few steps broke, the mean over budgets, from 0 to 1.
    """

    text: str
    estimator: GradientEstimator
    lowers: float


@dataclass(frozen=True)
class Examination:
    """What was found.

    Parameters
    ----------
    places: in the order of the forward pass.
    gradients: from the best to the worst; of equal ones the simpler first.
    refused: those that failed, with what they said.
    backwards: backward passes that it took, of all samples together.
    """

    places: tuple[Place, ...]
    gradients: tuple[Candidate, ...]
    refused: tuple[tuple[str, str], ...] = ()
    backwards: int = 0


@dataclass(frozen=True, kw_only=True)
class _Descent(IterativeAttack[Point]):
    """A few steps of a quarter of the budget along the gradient: long enough to leave a flat place."""

    steps: int = 10

    def init(self, task: Task) -> Point:
        return Point(task.start(random=False))

    def step(self, task: Task, state: Point) -> Point:
        gradient = task.gradient(state.x)
        direction = gradient.sign() if task.threat.norm == "linf" else unit(gradient, "l2")
        return Point(task.project(state.x - per_sample(task.epsilon / 4, state.x) * direction))


def examine(problem: Problem) -> Examination:
    """Trace ``problem.model``, and try gradients on a few of its samples; queries of this are not in any result."""
    few = _few(problem)
    calls, found, backwards = _traced(few)
    trials = _Trials(few)
    for estimator in _candidates(few, calls, found):
        trials.add(estimator)
    for more in (_below_modules, _from_scores):
        if trials.best < ENOUGH:
            for estimator in more(few, trials):
                trials.add(estimator)
    best_first = tuple(sorted(trials.tried, key=lambda one: -one.lowers))
    return Examination(found, best_first, tuple(trials.refused), backwards + trials.backwards)


def _few(problem: Problem) -> Problem:
    """The problem on its first samples, with a budget, and nobody who listens."""
    rows = torch.arange(min(SAMPLES, len(problem.inputs)), device=problem.inputs.device)
    options = replace(problem.options, progress=None, listen=None, restarts=1)
    few = replace(problem, options=options, loss=Margin()).at(rows)
    if problem.model.rejects:  # the classifier alone: what gets past a detector depends on the loss
        few = replace(few, criterion=Targeted() if problem.threat.targeted else Misclassified())
    if not problem.threat.targeted:  # any other class, however many the attacks aim at
        few = replace(few, targets=None, num_targets=None)
    return few if few.epsilon is not None else _within(few, _some_budget(few))


def _within(problem: Problem, epsilon: float) -> Problem:
    threat = replace(problem.threat, epsilon=epsilon)
    budget = torch.full_like(problem.labels, 0, dtype=torch.float64) + epsilon
    return replace(problem, threat=threat, epsilon=budget)


def _some_budget(problem: Problem) -> float:
    """A budget where the threat model has none: a twentieth of the range for every value."""
    low, high = problem.threat.bounds
    values, each = problem.inputs[0].numel(), (high - low) / 20
    sizes = {"linf": each, "l2": each * values**0.5, "l1": each * values, "l0": values / 20}
    return float(sizes[problem.threat.norm])


def _traced(problem: Problem) -> tuple[list[Call], tuple[Place, ...], int]:
    """The calls of a pass, what they show, and how many backward passes that took."""
    with problem.gateway() as gateway:
        model = gateway.searched
        passes = []
        for _ in range(2):
            passes.append(trace(model, inside(model, gateway.cast(problem.inputs)).requires_grad_()))
        accepted = gateway.decide(gateway.cast(problem.inputs)).accepted
    (calls, scores), (again, _) = passes
    plain, backwards = scores.detach(), len(passes) * len(scores) if scores.requires_grad else 0
    return calls, (*places(calls, again, plain), *of_the_whole(model, calls, plain, accepted)), backwards


def _candidates(problem: Problem, calls: Sequence[Call], found: Sequence[Place]) -> Iterator[GradientEstimator]:
    """Gradients that what was found calls for, the simplest first."""
    lost = tuple(dict.fromkeys(place.module for place in found if place.kind in LOSSES and place.module))
    exits = list(dict.fromkeys(place.module for place in found if place.kind == "scores"))
    plain: list[GradientEstimator] = [problem.gradient, Exact()]
    if problem.model.capabilities.surrogate is not None:
        plain.append(BPDA())
    plain += [Traced(), Traced(unsaturated=True), Traced(operations=False)]
    if any(call.functions for call in calls):
        plain.append(Traced(functions=False))
    if lost:
        plain.append(Traced(bridge=lost))
    plain += [Traced(exit=name) for name in exits[-MOST_EXITS:]]
    plain += [Traced(bridge=(name,)) for name in own_modules(calls)[:MOST_EXITS] if (name,) != lost]
    for estimator in dict.fromkeys(plain):
        yield _over_draws(problem, estimator)


def _below_modules(problem: Problem, _: _Trials) -> Iterator[GradientEstimator]:
    """Through operations that neither hooks nor function modes see, such as those of a scripted model."""
    plain = Traced(replayed=True)
    yield from (_over_draws(problem, one) for one in (plain, replace(plain, unsaturated=True)))
    with problem.gateway() as gateway:
        model = gateway.searched
        names = score_operations(model, inside(model, gateway.cast(problem.inputs)).requires_grad_())
    yield from (_over_draws(problem, replace(plain, exit=name)) for name in names[1 : 1 + MOST_EXITS])


def _from_scores(problem: Problem, trials: _Trials) -> Iterator[GradientEstimator]:
    """Around the inputs."""
    sigma = noise_within(problem.threat, problem.inputs[0].numel())
    yield Smoothed(sigma, DRAWS, of=Traced(replayed=trials.is_best(Traced(replayed=True))))
    yield FiniteDifference(sigma)


def _over_draws(problem: Problem, estimator: GradientEstimator) -> GradientEstimator:
    """The mean over draws where the model is random."""
    random = problem.model.stochastic and not isinstance(estimator, EOT | Smoothed)
    return EOT(DRAWS, of=estimator) if random else estimator


@dataclass
class _Trials:
    """Gradients on a few samples; one that is the same as an earlier one there is left out."""

    problem: Problem
    tried: list[Candidate] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    backwards: int = 0
    _directions: list[Tensor] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The largest share that any of them broke."""
        return max((one.lowers for one in self.tried), default=0.0)

    def is_best(self, estimator: GradientEstimator) -> bool:
        """Whether no other that was tried earlier or later got as far as ``estimator``."""
        others = [one.lowers for one in self.tried if one.estimator != estimator]
        return any(one.estimator == estimator and one.lowers > max(others, default=-1.0) for one in self.tried)

    def add(self, estimator: GradientEstimator) -> None:
        """Try one more."""
        text, problem = written(estimator), replace(self.problem, gradient=estimator)
        try:
            direction = self._direction(problem)
            if any(torch.allclose(direction, other, atol=ROUNDING) for other in self._directions):
                return
            lowers = self._lowers(problem)
        except Exception as error:  # whatever the code of a model says to a backward pass it was not written for
            self.refused.append((text, said(error)))
            return
        self._directions.append(direction)
        self.tried.append(Candidate(text, estimator, lowers))

    def _direction(self, problem: Problem) -> Tensor:
        """The gradient at the inputs, each of unit length; a random model draws the same for each estimator."""
        rows = torch.arange(len(problem.inputs), device=problem.inputs.device)
        noise, counter = Noise.of(problem.options.seed, problem.samples, 0), QueryCounter(len(rows), rows.device)
        with problem.gateway() as gateway:
            objective = problem.objective(gateway, Margin(), counter, rows)
            gradient = problem.gradient(objective, gateway.cast(problem.inputs), noise, 0).gradient
        self.backwards += int(counter.backwards.sum())
        return torch.nn.functional.normalize(gradient.flatten(1), dim=1)

    def _lowers(self, problem: Problem) -> float:
        """The share of samples that a few steps break, the mean over several budgets."""
        assert problem.epsilon is not None
        shares = []
        for multiple in BUDGETS:
            budget = problem.epsilon * multiple
            wider = replace(problem, epsilon=budget, threat=replace(problem.threat, epsilon=float(budget.max())))
            result = run_attack(_Descent(), wider)
            self.backwards += int(result.backwards.sum())
            shares.append(float(result.success.double().mean()))
        return sum(shares) / len(shares)
