"""Runs attacks: one, several in a row, one at several budgets. What one does to its samples is in ``search``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from advplug.attack import Attack, Course, Stage
from advplug.engine.merging import OF_ONE_ATTACK, changed, put_back
from advplug.engine.problem import Problem, check_loss
from advplug.engine.result import AttackResult
from advplug.engine.search import search
from advplug.errors import InvalidInput, NoGradient, RobustnessWarning
from advplug.gradients import FiniteDifference, instead_of_exact, noise_within


@torch.inference_mode(False)
def run_attack(attack: Attack, problem: Problem) -> AttackResult:
    """Run ``attack`` on every sample that is right before it; an attack of several stages, one stage after the other.

    Raises
    ------
    InvalidInput: the attack does not work on this problem.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    if not isinstance(attack, Attack):
        raise InvalidInput(f"the attack is {attack!r}: pass an attack, such as load('attack:pgd')()")
    _check(attack, problem)
    stages = attack.stages(problem)
    if stages is None:
        return search(attack, problem)
    found = further = _further(attack, problem, stages, None)
    while further is not None:
        found, further = further, _further(attack, problem, stages, further)
    if found is None:
        raise InvalidInput(f"{type(attack).__name__} has no stages: return at least one, or None")
    if found.left_out:
        told = f"the model gives no gradient. Not run: {', '.join(found.left_out)}; run: {', '.join(found.stages)}"
        warnings.warn(told, RobustnessWarning, stacklevel=2)
    return found


@torch.inference_mode(False)
def advance(attack: Attack, problem: Problem, before: AttackResult | None) -> tuple[AttackResult, bool]:
    """The result after one stage more than ``before`` (None for the first), and whether it was the last.

    An attack without stages is one. Of an attack with stages the result is that of all so far: the queries of all, and
    in ``stage`` which of them succeeded. A stage that needs a gradient which the model does not give is left out. After
    the others the first of them runs with finite differences, which see scores alone. An attack that chooses its stages
    is asked once: where it names no more, ``before`` comes back as the last result.

    Raises
    ------
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    stages = attack.stages(problem)
    if stages is None:
        return search(attack, problem), True
    found = _further(attack, problem, stages, before)
    if found is None and before is not None:
        return before, True
    if found is None:
        raise InvalidInput(f"{type(attack).__name__} has no stages: return at least one, or None")
    return found, not attack.chooses_stages and _after(stages, found.stages, found.left_out) is None


def _further(
    attack: Attack, problem: Problem, stages: Sequence[Stage], before: AttackResult | None
) -> AttackResult | None:
    """The result after the next stage that can run, of which ``stages`` are known beforehand; None if there is none."""
    ran = () if before is None else before.stages
    left_out = () if before is None else before.left_out
    while True:
        planned, number = _after(stages, ran, left_out), len(ran) + len(left_out)
        stage = attack.next_stage(problem, Course(planned, before, left_out))
        if stage is None:
            return None
        done = sum(each.planned_steps for each in stages[:number])
        total = sum(each.planned_steps for each in stages) if planned is not None else done + stage.planned_steps
        try:
            found = _continue(stage.attack, _counting_from(done, total, stage), before)
        except NoGradient:  # what sees scores alone still gives a number
            if (planned is not None and number >= len(stages)) or stage.name in left_out:
                raise
            left_out = (*left_out, stage.name)
            continue
        return _joined(before, _charged(found, stage), (*ran, stage.name), left_out)


@torch.inference_mode(False)
def run_cascade(attacks: Iterable[tuple[Attack, Problem]]) -> list[AttackResult]:
    """Run attacks one after the other, each only on what the ones before left standing.

    A sample of a random model stands until it is broken in nearly all draws, except in runs for the least norm.

    Every result covers all samples: it holds the successes so far and the queries of its own attack.
    """
    results: list[AttackResult] = []
    for attack, problem in attacks:
        results.append(_continue(attack, problem, results[-1] if results else None))
    return results


@torch.inference_mode(False)
def run_sweep(attack: Attack, problem: Problem, epsilons: Sequence[float]) -> list[AttackResult]:
    """Run a fixed-budget attack at each of ``epsilons`` (ascending): what a smaller budget broke stays broken."""
    if list(epsilons) != sorted(epsilons):
        raise InvalidInput(f"epsilons {list(epsilons)}: give them in ascending order")
    results: list[AttackResult] = []
    for epsilon in epsilons:
        results.append(attack_within(attack, problem, epsilon, results[-1] if results else None))
    return results


@torch.inference_mode(False)
def attack_within(attack: Attack, problem: Problem, epsilon: float, before: AttackResult | None) -> AttackResult:
    """The result at one budget of a sweep, after that of the next smaller one."""
    threat = replace(problem.threat, epsilon=epsilon)
    budget = torch.full_like(problem.labels, 0, dtype=torch.float64) + epsilon
    problem = replace(problem, threat=threat, epsilon=budget)
    if before is None or not attack.chooses_stages:
        return _continue(attack, problem, before)
    return _at_next_budget(attack, problem, before)


def _check(attack: Attack, problem: Problem) -> None:
    """Raise InvalidInput if ``attack`` does not work on ``problem``."""
    norm, name = problem.threat.norm, type(attack).__name__
    if norm not in attack.norms:
        raise InvalidInput(f"{name} does not work under {norm}: choose one of {', '.join(attack.norms)}")
    if problem.epsilon is None and attack.needs_budget:
        raise InvalidInput(f"{name} needs a budget: give the threat model an epsilon, such as {norm}:0.3")
    if attack.needs_auxiliary and problem.auxiliary is None:
        raise InvalidInput(
            f"{name} needs images that the attacker owns besides those attacked: pass auxiliary=Images(...)"
        )
    if problem.loss is None:
        check_loss(attack.default_loss, problem)
    elif attack.fixed_loss:
        raise InvalidInput(f"{name} brings its own losses: name no other")


def _after(stages: Sequence[Stage], ran: Sequence[str], left_out: Sequence[str]) -> Stage | None:
    """The stage that follows: all in order, then finite differences if one was left out."""
    number = len(ran) + len(left_out)
    if number < len(stages):
        return stages[number]
    if number > len(stages) or not left_out:
        return None
    return _by_differences(next(stage for stage in stages if stage.name == left_out[0]))


def _charged(found: AttackResult, stage: Stage) -> AttackResult:
    """``found`` with the passes that the choice of its stage took."""
    if stage.spent is None:
        return found
    forwards, backwards = stage.spent
    return replace(found, forwards=found.forwards + forwards, backwards=found.backwards + backwards)


def _joined(
    before: AttackResult | None, found: AttackResult, ran: tuple[str, ...], left_out: tuple[str, ...]
) -> AttackResult:
    """``found``, which holds the successes of ``before``, as the result of the stages ``ran``."""
    stage = torch.full_like(found.restart, -1) if before is None else before.stage.clone()
    stage[found.success if before is None else changed(before, found)] = len(ran) - 1
    stage[~found.success] = -1
    joined: dict[str, Any] = {"stage": stage, "stages": ran, "left_out": left_out, "rates": _rates(before, found)}
    if before is not None:
        joined |= {name: getattr(before, name) + getattr(found, name) for name in OF_ONE_ATTACK}
        joined["trace"] = torch.cat((before.trace, found.trace))
        joined["evaluations"] = torch.cat(_of_equal_length(before.evaluations, found.evaluations), 1)
    return replace(found, **joined)


def _rates(before: AttackResult | None, found: AttackResult) -> Tensor | None:
    """Those of ``before`` with that of the stage after them, float32 (N, stages); None if the model is not random."""
    last = found.success_rate[:, None].clone()  # a file of tensors must not hold two views of one
    if found.tried is None or before is None:
        return None if found.tried is None else last
    return None if before.rates is None else torch.cat((before.rates, last), 1)


def _of_equal_length(*counts: Tensor) -> list[Tensor]:
    """Counts (N, stages, restarts + 1), with zeros for the restarts that others have more."""
    longest = max(one.shape[2] for one in counts)
    return [torch.nn.functional.pad(one, (0, longest - one.shape[2])) for one in counts]


def _by_differences(stage: Stage) -> Stage:
    """The stage with finite differences where it takes exact gradients."""
    problem = stage.problem
    estimate = FiniteDifference(noise_within(problem.threat, problem.inputs[0].numel()))
    gradient = instead_of_exact(problem.gradient, estimate)
    return Stage(f"{stage.name}, finite differences", stage.attack, replace(problem, gradient=gradient))


def _counting_from(before: int, total: int, stage: Stage) -> Problem:
    """The stage's problem, whose progress goes on from ``before``; it counts as planned, however soon it is over."""
    options = stage.problem.options
    report = options.progress
    if report is None:
        return stage.problem

    def progress(done: int, planned: int, alive: int) -> None:
        report(before + stage.planned_steps * done // max(planned, 1), total, alive)

    return replace(stage.problem, options=replace(options, progress=progress))


def _at_next_budget(attack: Attack, problem: Problem, before: AttackResult) -> AttackResult:
    """What :func:`_continue` gives, for an attack whose stages may be others at each budget."""
    rows = _worth_attacking(problem, before)
    if not len(rows):
        return _continue(attack, problem, before)
    after = run_attack(attack, problem.at(rows))
    found = put_back(problem, before, after, rows)
    names = (*after.stages, *(name for name in before.stages if name not in after.stages))
    numbers = torch.tensor([*(names.index(name) for name in before.stages), -1], device=rows.device)
    stage = numbers[before.stage]
    stage[rows] = torch.where(changed(before, found)[rows], after.stage, stage[rows])
    stage[~found.success] = -1
    count, columns, restarts = found.evaluations.shape
    others = found.evaluations.new_zeros(count, len(names) - columns, restarts)
    left_out = tuple(dict.fromkeys((*before.left_out, *after.left_out)))
    evaluations = torch.cat((found.evaluations, others), 1)
    return replace(found, stage=stage, stages=names, left_out=left_out, evaluations=evaluations)


def _continue(attack: Attack, problem: Problem, before: AttackResult | None) -> AttackResult:
    """Attack what ``before`` left standing, and put its successes back in."""
    if before is None:
        return run_attack(attack, problem)
    rows = _worth_attacking(problem, before)
    return put_back(problem, before, run_attack(attack, problem.at(rows)) if len(rows) else None, rows)


def _worth_attacking(problem: Problem, before: AttackResult) -> Tensor:
    """The samples that another attack goes on with, int64 (n,).

    In a run for the least norm every success is final: a point that breaks more draws may lie further away.
    """
    standing = before.standing if problem.epsilon is not None else before.correct & ~before.success
    return standing.nonzero().squeeze(1)
