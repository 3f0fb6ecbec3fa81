"""The diagnostics that run attacks of their own: on few samples, and only where ``--diagnose full`` asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from advplug.adaptive import Recipe
from advplug.engine.stages import run_attack
from advplug.errors import AdvplugError
from advplug.evaluation.diagnostics.binarisation import PASS, binarisation
from advplug.evaluation.diagnostics.chance_attacks import broken_by, left_without_budget
from advplug.evaluation.diagnostics.convergence import longer
from advplug.evaluation.diagnostics.look import ON_DEMAND, Look, passed, skipped
from advplug.evaluation.diagnostics.remedies import next_change
from advplug.evaluation.diagnostics.signs import CLEARLY, FEW, percent, sign_of_few_steps
from advplug.evaluation.diagnostics.stand_in import against_surrogate
from advplug.evaluation.problems import problem_of
from advplug.plugins.manager import default_manager
from advplug.records.finding import Finding

SAMPLES = 16
"""Samples on which an attack is run again."""

SQUARE_QUERIES = 500


def twice_the_steps(look: Look) -> Iterator[Finding]:
    """G5: attacks that the run itself did not repeat, such as suites of several stages."""
    rows = [row for row in look.rows if not row.more_steps[0] and row.robust_accuracy > 0 and row.gradients > 0]
    if not rows:
        return
    if not look.full:
        yield skipped(f"{', '.join(row.name for row in rows)}: {ON_DEMAND}, on {SAMPLES} samples with twice the steps.")
        return
    for row in rows:
        recipe, standing = look.recipe_of(row), look.standing([row])[:SAMPLES]
        more = None if recipe is None else longer(recipe.attack)
        if recipe is None or more is None or not len(standing):
            continue
        problem = problem_of(look.job, recipe).at(standing)
        fell = int(run_attack(more, replace(problem, options=replace(problem.options, progress=None))).success.sum())
        told = list(sign_of_few_steps(row, fell, len(standing)))
        yield from told or [
            passed(
                f"{row.name}: of {len(standing)} samples {fell} fall with twice the steps.", fell / len(standing), FEW
            )
        ]


def without_budget(look: Look) -> Iterator[Finding]:
    """G7: where every input is allowed, an attack must bring accuracy down to guessing."""
    recipe = _strongest(look)
    if not look.full:
        yield skipped(f"No attack without a budget: {ON_DEMAND}, on {SAMPLES} samples.")
        return
    if recipe is None or look.problem.epsilon is None:
        yield skipped("There is no attack with gradients and a budget.")
        return
    problem = problem_of(look.job, recipe)
    rows = torch.arange(min(SAMPLES, len(problem.inputs)), device=problem.inputs.device)
    left = left_without_budget(recipe, problem.at(rows))
    share, chance = float(left.double().mean()), 1 / look.job.model.num_classes
    if share > chance + 2 * CLEARLY:
        yield Finding(
            name="unbounded",
            id="G7",
            status="fail",
            figure=share,
            threshold=chance + 2 * CLEARLY,
            samples=tuple(rows[left].tolist()),
            message=f"{recipe.name} leaves {percent(share)} of {len(rows)} samples where every input is allowed: it "
            "does not find what is certainly there.",
            advice=look.another_gradient,
        )
    else:
        yield passed(
            f"{recipe.name} leaves {percent(share)} where every input is allowed.", share, chance + 2 * CLEARLY
        )


def scores_alone(look: Look) -> Iterator[Finding]:
    """G8: the Square attack on what the attacks with gradients left."""
    gradients = look.with_gradients
    if any(row.gradients == 0 < row.queries for row in look.rows) or not gradients:
        return  # the evaluation itself has such an attack
    if not look.full:
        yield skipped(
            f"No attack on scores alone: {ON_DEMAND}, Square with {SQUARE_QUERIES} queries on {SAMPLES} samples."
        )
        return
    standing = look.standing(gradients)[:SAMPLES]
    if not len(standing):
        return
    square = default_manager().load("attack:square")(queries=SQUARE_QUERIES)
    broken = standing[broken_by(square, look.problem.at(standing))]
    share = len(broken) / len(standing)
    if share > FEW and share * len(look.standing(gradients)) / look.samples > CLEARLY:
        yield Finding(
            name="masked-gradients",
            id="G8",
            status="fail",
            figure=share,
            threshold=FEW,
            samples=tuple(broken.tolist()),
            message=f"Square, which sees scores alone, breaks {len(broken)} of {len(standing)} samples that every "
            "attack with gradients leaves: the model hides its gradient, which is no robustness.",
            advice=look.another_gradient,
        )
    else:
        yield passed(f"Square breaks {len(broken)} of {len(standing)} samples that the attacks left.", share, FEW)


def stand_in(look: Look) -> Iterator[Finding]:
    """G9: whether what breaks the surrogate breaks the model."""
    if look.job.model.capabilities.surrogate is None:
        yield skipped("The model declares no surrogate.")
        return
    if not look.full:
        yield skipped(f"No attack on the surrogate: {ON_DEMAND}, on {SAMPLES} samples.")
        return
    recipe = _strongest(look)
    if recipe is None:
        yield skipped("There is no attack with gradients.")
        return
    found, held = against_surrogate(recipe, look.problem, SAMPLES)
    share = held / max(1, found)
    if found and share < 0.5:
        yield Finding(
            name="surrogate-mismatch",
            id="G9",
            status="warn",
            figure=share,
            threshold=0.5,
            message=f"Of {found} points that break the surrogate {held} break the model: it is another function.",
            advice="Bring the surrogate nearer to the model: fit it to the model's own answers around the inputs.",
        )
    else:
        yield passed(f"Of {found} points that break the surrogate {held} break the model.", share, 0.5)


def finds_what_is_there(look: Look) -> Iterator[Finding]:
    """G14: the binarisation test of each attack."""
    if not look.full:
        yield skipped(f"The attacks themselves were not tested: {ON_DEMAND}, each on {SAMPLES} readouts of the model.")
        return
    for recipe in look.job.recipes:
        if recipe.on is not None:
            continue
        try:
            found = binarisation(recipe, problem_of(look.job, recipe), samples=SAMPLES, seed=look.job.seed)
        except AdvplugError as error:
            yield skipped(f"{recipe.name}: {error}.")
            continue
        low, high = found.interval
        told = (
            f"{recipe.name} finds {percent(found.success_rate)} [{100 * low:.0f}, {100 * high:.0f}] of {found.tested} "
            f"adversarial points that are known to exist (a readout of {found.reads}); as many random points find "
            f"{percent(found.random_success_rate)}"
        )
        if found.passed is None:
            yield skipped(
                f"{told}. That says nothing: {found.left_out} readouts told no point apart, or guessing suffices."
            )
        elif found.passed:
            yield passed(f"{told}.", found.success_rate, PASS)
        else:
            yield Finding(
                name="binarisation",
                id="G14",
                status="fail",
                figure=found.success_rate,
                threshold=PASS,
                samples=found.missed,
                message=f"{told}: where it finds nothing on the model, that says little.",
                advice=_stronger(look, recipe),
            )


def _stronger(look: Look, recipe: Recipe) -> str:
    if look.where:
        return next_change(look.already, "traced", "bpda", "finite-differences", "square", where=look.where)
    return f"Give the attack more steps or restarts until it passes, as in --set {recipe.name.split(',')[0]}.steps=N."


def _strongest(look: Look) -> Recipe | None:
    """The recipe with gradients that left the least."""
    rows = [row for row in look.with_gradients if look.recipe_of(row) is not None]
    best = min(rows, key=lambda row: row.robust_accuracy, default=None)
    return None if best is None else look.recipe_of(best)
