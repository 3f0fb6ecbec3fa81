"""Findings about an evaluation: signs that a number should not be believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from advplug.data import Images
from advplug.engine.region import Region
from advplug.records.evaluation import Evaluation, Row
from advplug.records.finding import Finding
from advplug.threat import ThreatModel

NAMED = 5  # classes in a message

MANY, CLEARLY = 0.1, 0.05  # shares of the samples: a finding is not made of one or two of them


def sign_of_missing_classes(images: Images, num_classes: int) -> Iterator[Finding]:
    """Classes without a sample: the figures say nothing of them."""
    missing, names = images.missing_classes(num_classes), images.class_names
    if missing:
        named = [f"{label} ({names[label]})" if label < len(names) else str(label) for label in missing[:NAMED]]
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        yield Finding(
            name="missing-classes",
            status="warn",
            message=f"Of {max(num_classes, len(names))} classes {len(missing)} have no sample among the {len(images)} "
            f"attacked: {', '.join(named)}{more}.",
            advice="Raise --limit, or give samples of every class.",
        )


def sign_of_no_room(threat: ThreatModel, inputs: Tensor) -> Iterator[Finding]:
    """Inputs (N, ...) of which the threat model lets no value change: they cannot fall, and count as robust."""
    region = Region.of(threat, inputs)
    free = inputs.new_full((1,) * inputs.ndim, threat.epsilon != 0, dtype=torch.bool)
    if region.mask is not None:
        free = free & region.mask
    if region.shares is not None:
        free = free & (region.shares > 0)
    if region.lower is not None and region.upper is not None:
        free = free & (region.lower < region.upper)
    fixed = int((~free.flatten(1).any(1)).expand(len(inputs)).sum())
    if fixed:
        yield Finding(
            name="no-room",
            status="warn",
            message=f"The threat model lets no value change in {fixed} of the {len(inputs)} samples: those that are "
            "right count as robust, whatever the attack.",
            advice="Leave them out, or give them a mask, bounds and a budget that allow something.",
        )


def sign_of_chance(evaluation: Evaluation, classes: int) -> Iterator[Finding]:
    """Clean accuracy that guessing could reach: inputs that were not normalised as in training, or shifted labels."""
    chance, samples = 1 / classes, max(1, evaluation.samples)
    likely = chance + 2 * math.sqrt(chance * (1 - chance) / samples)
    if evaluation.clean_accuracy <= min(likely, (1 + chance) / 2):
        yield Finding(
            name="chance",
            status="warn",
            message=f"Clean accuracy is {percent(evaluation.clean_accuracy)}; guessing among {classes} classes gives "
            f"{percent(chance)}. Robust accuracy means nothing below that.",
            advice="Put the normalisation of training into the model, and check --bounds and the order of the classes.",
        )


def signs_of_no_gradient(evaluation: Evaluation, not_run: Sequence[str]) -> Iterator[Finding]:
    """What could not run on a model without a gradient; ``not_run`` names attacks without a row."""
    stages = [f"{', '.join(row.left_out)} of {row.name}" for row in evaluation.rows if row.left_out]
    left_out = [*not_run, *stages]
    if left_out:
        yield Finding(
            name="no-gradient",
            status="warn",
            message=f"Not run, because the model gives no gradient: {', '.join(left_out)}.",
            advice="Declare a differentiable stand-in, --surrogate MODULE:FUNCTION --gradients bpda; attacks on scores "
            "alone leave more standing than an attack with a gradient would.",
        )


def signs_of_lost_successes(evaluation: Evaluation) -> Iterator[Finding]:
    """Points that broke their sample during the search and not afterwards."""
    for row in evaluation.rows:
        if row.lost:
            yield Finding(
                name="lost-successes",
                status="warn",
                message=f"{row.name}: {row.lost} of {evaluation.samples} samples were broken in the search, and not "
                "when the result was judged again. They count as robust.",
                advice="The answer changes by rounding, with the batch or from call to call: ask about one sample at a "
                "time (--batch-size 1), or declare stochastic = True.",
            )


def signs_of_few_steps(evaluation: Evaluation) -> Iterator[Finding]:
    """Attacks that break more with twice the steps: they were stopped before they were done."""
    for row in evaluation.rows:
        looked, fallen = row.more_steps
        if fallen > looked / 4 and row.robust_accuracy * fallen / max(1, looked) > CLEARLY:
            yield Finding(
                name="few-steps",
                status="warn",
                message=f"{row.name}: {fallen} of {looked} samples that it left standing fall with twice the steps.",
                advice="Its robust accuracy is too high: raise the steps until more make no difference, as in "
                f"--set {row.name.split(',')[0]}.steps=N.",
            )


def signs_of_masking(evaluation: Evaluation) -> Iterator[Finding]:
    """What the host itself looks for: gradients that are lost or lead nowhere (Athalye et al. 2018)."""
    for row in evaluation.rows:
        lost = _share_without_gradient(row)
        if lost > MANY:
            yield Finding(
                name="unusable-gradients",
                status="warn",
                message=f"{row.name}: {percent(lost)} of the samples had a zero or non-finite gradient in most steps.",
                advice="Change the loss (margin does not saturate) or the gradient (finite differences; BPDA).",
            )
    rows = [row for row in evaluation.rows if row.role != "control"]  # of another model
    scores = [row for row in rows if row.gradients == 0 < row.queries]
    best = min(scores, key=lambda row: row.robust_accuracy, default=None)
    least = min((row.robust_accuracy for row in rows if row.gradients > 0), default=0.0)
    if best is not None and best.robust_accuracy < least - CLEARLY:
        yield Finding(
            name="masked-gradients",
            status="warn",
            message=f"{best.name}, which sees scores alone, leaves {percent(best.robust_accuracy)}, every attack with "
            f"gradients at least {percent(least)}: the model hides its gradient, which is no robustness.",
            advice="Believe no attack with exact gradients; change the gradient: finite differences, smoothed or BPDA.",
        )


def percent(share: float) -> str:
    """A fraction as text, ``0.125`` as ``12.5 %``."""
    return f"{100 * share:.1f} %"


def _share_without_gradient(row: Row) -> float:
    """Share of the attacked samples that lost the gradient in more than half of their steps."""
    lost, trace, correct = (row.arrays.get(name) for name in ("unusable_gradients", "trace", "correct"))
    if lost is None or trace is None or correct is None or not np.any(correct):
        return 0.0
    attacked = np.asarray(correct, bool)
    # Backward passes would not do: an estimator may spend many of them on a step. Of n + 1 evaluations the last has no
    # gradient, so half of them is more than half of the n steps.
    evaluations = (~np.isnan(trace)).sum(0)
    return float(np.mean((lost > 0)[attacked] & (2 * lost >= evaluations)[attacked]))
