"""The diagnostics that every evaluation gets: they read its rows, or ask the model a few passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from torch import Tensor

from advplug.engine.problem import Problem
from advplug.evaluation.diagnostics import interface
from advplug.evaluation.diagnostics.chance_attacks import broken_by_noise, broken_by_one_step
from advplug.evaluation.diagnostics.gradient_check import check_gradient
from advplug.evaluation.diagnostics.look import ON_DEMAND, Look, passed, skipped
from advplug.evaluation.diagnostics.preflight import (
    signs_in_answers,
    signs_in_budget,
    signs_in_decisions,
    signs_in_gradients,
    signs_of_randomness,
)
from advplug.evaluation.diagnostics.remedies import BELIEVE_THE_MARGIN, draws_of, next_change
from advplug.evaluation.diagnostics.signs import (
    CLEARLY,
    FEW,
    MANY,
    percent,
    sign_of_chance,
    sign_of_missing_classes,
    sign_of_no_room,
    signs_of_few_steps,
    signs_of_lost_gradients,
    signs_of_lost_successes,
    signs_of_masking,
    signs_of_no_gradient,
)
from advplug.records.evaluation import Row
from advplug.records.finding import Finding

AGREEMENT, INSTABILITY = 0.5, 0.5
"""Below the first a gradient is not that of the loss; above the second the loss jumps within the budget."""

_TAIL, _DROP = 10, 0.05  # steps at the end, and the share of the whole fall that they may still bring


def at_rows(look: Look) -> Iterator[Finding]:
    """G1: attacks that had no gradient, in their own steps."""
    suspicious = [*signs_of_no_gradient(look.evaluation, look.not_run), *signs_of_lost_gradients(look.evaluation)]
    if not suspicious:
        yield passed("No attack lost its gradient on its way.", 0.0, MANY)
        return
    yield from signs_of_no_gradient(look.evaluation, look.not_run, look.already, look.where)
    for finding in signs_of_lost_gradients(look.evaluation, look.already, look.where):
        if look.saturates:
            yield replace(finding, id="G2", advice=next_change(look.already, "margin", otherwise=BELIEVE_THE_MARGIN))
        else:
            yield finding


def at_inputs(look: Look) -> Iterator[Finding]:
    """G1: gradients at the inputs and near them."""
    if not look.asks:
        yield skipped(look.unasked)
        return
    lost = look.without_gradient
    yield from (one for one in signs_in_gradients(look.problem, look.already, lost) if one.id == "G1")
    yield passed(
        f"At the inputs and near them cross-entropy has a gradient at {percent(1 - lost['cross-entropy'])}, the margin "
        f"at {percent(1 - lost['margin'])}.",
        lost["margin"],
        MANY,
    )


def saturated(look: Look) -> Iterator[Finding]:
    """G2: cross-entropy that is flat because softmax is 1, where the margin is not."""
    if not look.asks:
        yield skipped(look.unasked)
        return
    lost = look.without_gradient
    told = f"Softmax is 1 in single precision at {percent(lost['saturated'])} of the inputs."
    for finding in signs_in_gradients(look.problem, look.already, lost):
        if finding.id == "G2" and "margin" not in look.already:
            yield finding
        elif finding.id == "G2":
            yield passed(f"{finding.message} An attack on a loss that does not saturate was run.", finding.figure, MANY)
    yield passed(told, lost["saturated"])


def around(look: Look) -> Iterator[Finding]:
    """G3: whether the gradient is that of the loss."""
    if not look.asks:
        yield skipped(look.unasked)
        return
    found = check_gradient(look.problem, look.job.seed)
    if found is None:
        why = "its passes differ (G6)" if look.job.model.stochastic else "it has no gradient (G1)"
        yield skipped(f"There is nothing to hold against differences of the loss: {why}.")
        return
    if found.agreement is None:
        yield skipped("Neither the gradient nor the loss changes along random directions (G1).")
        return
    figures = (
        f"along random directions the gradient and differences of the loss have a correlation of "
        f"{found.agreement:.2f}; within the budget the loss changes by {percent(found.instability)}"
    )
    trouble = found.agreement < AGREEMENT
    if trouble and not look.already & {"traced", "bpda", "finite-differences", "smoothed", "custom"}:
        yield Finding(
            name="misleading-gradient",
            id="G3",
            status="warn",
            figure=found.agreement,
            threshold=AGREEMENT,
            message=f"The gradient is not that of the loss: {figures}.",
            advice=next_change(look.already, "smoothed", "finite-differences", where="what hides the gradient"),
        )
    else:
        yield passed(
            f"As it should be, or an attack without exact gradients was run: {figures}.", found.agreement, AGREEMENT
        )


def lost(look: Look) -> Iterator[Finding]:
    """G4: successes that did not hold."""
    yield from signs_of_lost_successes(look.evaluation)
    if not any(row.lost for row in look.evaluation.rows):
        yield passed(
            "Every success of a search held when it was judged again; the best point on each way was kept.", 0, 0
        )


def converged(look: Look) -> Iterator[Finding]:
    """G5: whether the attacks had enough steps."""
    yield from signs_of_few_steps(look.evaluation)
    looked = [row for row in look.evaluation.rows if row.more_steps[0]]
    for row in look.evaluation.rows:
        if row not in looked:
            yield from _still_falling(look, row)
    for row in looked:
        again, fell = row.more_steps
        yield passed(
            f"{row.name}: of {again} samples that it left {fell} fall with twice the steps.", fell / again, FEW
        )
    if not looked:
        left = [row for row in look.evaluation.rows if row.robust_accuracy > 0]
        yield (
            skipped(f"Nothing was repeated with twice the steps: {ON_DEMAND}.")
            if left
            else passed("No attack left anything to break.", 0.0, FEW)
        )


def _still_falling(look: Look, row: Row) -> Iterator[Finding]:
    """A row that was not repeated with twice the steps: indicator 4 of Pintor et al. 2022, from its losses."""
    recipe, trace = look.recipe_of(row), row.arrays.get("trace")
    if recipe is None or trace is None or row.stages or row.gradients == 0 or len(trace) <= 2 * _TAIL:
        return
    if recipe.restarts > 1 or recipe.targets is not None or recipe.num_targets is not None:
        return  # rounds follow one another
    rows = np.flatnonzero(np.asarray(row.arrays["correct"], bool) & ~np.asarray(row.arrays["success"], bool))
    rows = rows[~np.isnan(trace[:, rows]).any(0)]
    if not len(rows):
        return
    best = np.minimum.accumulate(trace[:, rows], 0)
    fall = best[0] - best[-1]
    tail = (best[-1 - _TAIL] - best[-1]) / np.where(fall > 0, fall, 1)
    falling = rows[tail > _DROP]
    if len(falling) > len(rows) / 2 and len(falling) > CLEARLY * look.samples:
        yield Finding(
            name="still-falling",
            id="G5",
            status="warn",
            figure=float(np.median(tail)),
            threshold=_DROP,
            samples=tuple(int(one) for one in falling),
            message=f"{row.name}: in {len(falling)} of the {len(rows)} samples that it left the loss still fell in the "
            f"last {_TAIL} steps.",
            advice=f"Raise the steps until more make no difference, as in --set {row.name.split(',')[0]}.steps=N.",
        )


def random(look: Look) -> Iterator[Finding]:
    """G6: random answers."""
    if not look.job.model.stochastic:
        yield passed("Four passes over the same inputs gave the same scores.", 0.0, 0.0)
        return
    if not look.asks:
        yield skipped(look.unasked)
        return
    averaged = max(draws_of(recipe.gradient) for recipe in look.job.recipes)
    told = list(signs_of_randomness(look.problem, averaged))
    yield from told
    if not told:
        yield passed(f"The answers are random, and a gradient averages over {averaged} draws of them, which is enough.")


def ordered(look: Look) -> Iterator[Finding]:
    """G7, what costs nothing: accuracy falls with the budget, and attacks in steps break what one step breaks."""
    for row in look.rows:
        if row.sweep:
            left = [accuracy for _, accuracy in row.sweep]
            rise = max((after - before for before, after in pairwise(left)), default=0.0)
            if rise > CLEARLY:
                yield Finding(
                    name="rising-curve", id="G7", status="fail", figure=rise, threshold=CLEARLY,
                    message=f"{row.name}: a larger budget leaves {percent(rise)} more.",
                    advice="Give the attack more steps or another step size: it does not use its budget.",
                )  # fmt: skip
            else:
                yield passed(f"{row.name}: no larger budget leaves more.", rise, CLEARLY)
    yield from _loses_to(look, "one-step", "G7", "one step of the full budget", broken_by_one_step)


def weaker(look: Look) -> Iterator[Finding]:
    """G8: attacks with a gradient must not lose to attacks without one."""
    yield from signs_of_masking(look.evaluation, look.already)
    if look.with_gradients and any(row.gradients == 0 < row.queries for row in look.rows):
        yield passed("No attack on scores alone breaks clearly more than the attacks with gradients.")
    yield from _loses_to(look, "noise", "G8", "random noise of the size of the budget", broken_by_noise)


def _loses_to(
    look: Look, name: str, number: str, what: str, broken_by: Callable[[Problem], Tensor]
) -> Iterator[Finding]:
    """What ``broken_by`` says, bool (n,), of the first samples that every attack with gradients left."""
    if not look.asks:
        yield skipped(look.unasked)
        return
    if look.problem.epsilon is None or not look.with_gradients:
        yield skipped(f"{_upper(what)} is compared where there is a budget and a gradient.")
        return
    standing = look.standing(look.with_gradients)[:64]
    if not len(standing):
        yield passed(f"Nothing stood that {what} could break.", 0.0, CLEARLY)
        return
    broken = standing[broken_by(look.problem.at(standing))].tolist()
    share = len(broken) / look.samples
    if share > CLEARLY:
        yield Finding(
            name=name,
            id=number,
            status="fail",
            figure=share,
            threshold=CLEARLY,
            samples=tuple(broken),
            message=f"{_upper(what)} breaks {len(broken)} samples that every attack with gradients leaves: "
            "these gradients mislead, and the robust accuracy is too high.",
            advice=next_change(look.already, "traced", "finite-differences", "smoothed", "square", "bpda"),
        )
    else:
        yield passed(f"{_upper(what)} breaks {len(broken)} of what the attacks left.", share, CLEARLY)


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def asked(look: Look) -> Iterator[Finding]:
    """G10: how the model answers."""
    yield from sign_of_chance(look.evaluation, look.job.model.num_classes)
    if not look.asks:
        yield skipped(look.unasked)
        return
    yield from signs_in_answers(look.problem)
    changed, optimises = interface.changed_buffers(look.problem), interface.calls_autograd(look.problem)
    if changed:
        yield Finding(
            name="stateful",
            id="G10",
            status="warn",
            figure=len(changed),
            threshold=0,
            message=f"A pass changes the model: {', '.join(changed[:3])}. Its answers depend on earlier ones.",
            advice="Keep counters and running figures out of forward at test time.",
        )
    if optimises:
        yield Finding(
            name="inner-gradients",
            id="G10",
            status="warn",
            message="The forward pass takes gradients itself: an attack must differentiate through that, or around it.",
            advice="Build the inner steps with create_graph=True, or give a surrogate without them for BPDA.",
        )
    yield passed(
        f"The model takes {look.job.images.inputs.dtype} in {look.job.threat.bounds}, gives logits that depend on one "
        "input alone, keeps no state and takes no gradients; it was asked in evaluation mode."
    )


def quality(look: Look) -> Iterator[Finding]:
    """G11: how near the strongest attack comes to all of them together, sample by sample."""
    rows = [row for row in look.rows if {"success", "correct"} <= row.arrays.keys()]
    if len(rows) < 2:
        yield skipped("One attack was run: there is no other to hold it against.")
        return
    together = len(look.standing(rows)) / look.samples
    best = min(rows, key=lambda row: row.robust_accuracy)
    alone = len(look.standing([best])) / look.samples
    told = f"{best.name} alone leaves {percent(alone)}, all attacks together {percent(together)} of the samples"
    if alone - together > CLEARLY:
        yield Finding(
            name="attack-quality",
            id="G11",
            status="warn",
            figure=alone - together,
            threshold=CLEARLY,
            message=f"No single attack is the strongest: {told}.",
            advice="Quote the minimum over all attacks for each sample, not the strongest attack.",
        )
    else:
        yield passed(f"{told}.", alone - together, CLEARLY)


def rejecting(look: Look) -> Iterator[Finding]:
    """G12: detectors."""
    if not look.job.model.rejects:
        yield skipped("The model rejects no input.")
        return
    rates = look.evaluation.false_positives or 0.0
    if look.job.claim is None and "detector" not in look.already:
        yield from signs_in_decisions(look.problem)
    yield passed(f"The detector rejects {percent(rates)} of the clean inputs, and an attack was made for it.", rates)


def declared(look: Look) -> Iterator[Finding]:
    """G13: what the figures cover."""
    job = look.job
    # A defense may have more classes than its data, such as the unused words of a code.
    yield from sign_of_missing_classes(job.images, job.model.num_classes if job.preset is None else 0)
    yield from sign_of_no_room(job.threat, job.images.inputs)
    if job.claim is None:
        yield from signs_in_budget(look.problem)
    adapted = any(recipe.role == "adaptive" for recipe in job.recipes)
    yield passed(
        f"On record: the threat model {job.threat}, the settings of {len(job.recipes)} attacks, the seed and the "
        "versions. "
        + (
            "An attack was adapted to the model."
            if adapted
            else "No attack was adapted to the model: the figure is an upper bound."
        )
    )
