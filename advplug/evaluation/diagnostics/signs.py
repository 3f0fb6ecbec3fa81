"""Findings about an evaluation: signs that a number should not be believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advplug.data import Images
from advplug.engine.region import Region
from advplug.evaluation.diagnostics.remedies import THE_STEP, next_change
from advplug.records.evaluation import Evaluation, Row
from advplug.records.finding import Finding
from advplug.threat import ThreatModel

NAMED = 5  # classes in a message

MANY, CLEARLY = 0.1, 0.05  # shares of the samples: a finding is not made of one or two of them
FEW = 0.25  # of what an attack left, the share that may fall to a longer or another one


def sign_of_missing_classes(images: Images, num_classes: int) -> Iterator[Finding]:
    """Classes without a sample: the figures say nothing of them."""
    missing, names = images.missing_classes(num_classes), images.class_names
    if missing:
        named = [f"{label} ({names[label]})" if label < len(names) else str(label) for label in missing[:NAMED]]
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        yield Finding(
            name="missing-classes",
            id="G13",
            status="warn",
            figure=len(missing),
            threshold=0,
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
    stuck = (~free.flatten(1).any(1)).expand(len(inputs))
    fixed = int(stuck.sum())
    if fixed:
        yield Finding(
            name="no-room",
            id="G13",
            status="warn",
            figure=fixed,
            threshold=0,
            samples=tuple(stuck.nonzero().flatten().tolist()),
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
            id="G10",
            status="warn",
            figure=evaluation.clean_accuracy,
            threshold=likely,
            message=f"Clean accuracy is {percent(evaluation.clean_accuracy)}; guessing among {classes} classes gives "
            f"{percent(chance)}. Robust accuracy means nothing below that.",
            advice="Put the normalisation of training into the model, and check --bounds and the order of the classes.",
        )


def signs_of_no_gradient(
    evaluation: Evaluation, not_run: Sequence[str], already: frozenset[str] = frozenset(), where: str = ""
) -> Iterator[Finding]:
    """What could not run on a model without a gradient; ``not_run`` names attacks without a row.

    ``already`` names remedies that were tried, and ``where`` is the module that loses the gradient, "" if unknown.
    """
    stages = [f"{', '.join(row.left_out)} of {row.name}" for row in evaluation.rows if row.left_out]
    left_out = [*not_run, *stages]
    if left_out:
        yield Finding(
            name="no-gradient",
            id="G1",
            status="warn",
            figure=1.0,
            threshold=MANY,
            message=f"Not run, because the model gives no gradient: {', '.join(left_out)}. Attacks on scores alone "
            f"leave more standing than an attack with a gradient would.{_lost_in(where)}",
            advice=next_change(already, "traced", "bpda", "finite-differences", "square", where=where or THE_STEP),
        )


def signs_of_lost_successes(evaluation: Evaluation) -> Iterator[Finding]:
    """Points that broke their sample during the search and not afterwards."""
    for row in evaluation.rows:
        if row.lost:
            yield Finding(
                name="lost-successes",
                id="G4",
                status="warn",
                figure=row.lost,
                threshold=0,
                samples=_samples(row, "lost"),
                message=f"{row.name}: {row.lost} of {evaluation.samples} samples were broken in the search, and not "
                "when the result was judged again. They count as robust.",
                advice="The answer changes by rounding, with the batch or from call to call: ask about one sample at a "
                "time (--batch-size 1), or declare stochastic = True.",
            )


def signs_of_few_steps(evaluation: Evaluation) -> Iterator[Finding]:
    """Attacks that break more with twice the steps: they were stopped before they were done."""
    for row in evaluation.rows:
        looked, fallen = row.more_steps
        if looked:
            yield from sign_of_few_steps(row, fallen, looked)


def sign_of_few_steps(row: Row, fallen: int, looked: int) -> Iterator[Finding]:
    """An attack that breaks ``fallen`` of ``looked`` samples that it left, once it has twice the steps."""
    share = fallen / looked
    if share > FEW and share * row.robust_accuracy > CLEARLY:
        yield Finding(
            name="few-steps",
            id="G5",
            status="warn",
            figure=share,
            threshold=FEW,
            message=f"{row.name}: {fallen} of {looked} samples that it left standing fall with twice the steps.",
            advice="Its robust accuracy is too high: raise the steps until more make no difference, as in "
            f"--set {row.name.split(',')[0]}.steps=N.",
        )


def signs_of_lost_gradients(
    evaluation: Evaluation, already: frozenset[str] = frozenset(), where: str = ""
) -> Iterator[Finding]:
    """Rows whose gradients were zero or not finite in most steps, with the module that loses them."""
    for row in evaluation.rows:
        without = _without_gradient(row)
        lost = float(without.mean()) if len(without) else 0.0
        if lost > MANY:
            remedies = (
                ("traced", "bpda", "finite-differences", "square")
                if where
                else ("margin", "traced", "bpda", "finite-differences")
            )
            yield Finding(
                name="unusable-gradients",
                id="G1",
                status="warn",
                figure=lost,
                threshold=MANY,
                samples=_attacked(row, without),
                message=f"{row.name}: {percent(lost)} of the samples had a zero or non-finite gradient in most "
                f"steps.{_lost_in(where)}",
                advice=next_change(already, *remedies, where=where or THE_STEP),
            )


def signs_of_masking(evaluation: Evaluation, already: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """Attacks without a gradient that break what those with one do not (Athalye et al. 2018)."""
    rows = [row for row in evaluation.rows if row.role != "control"]  # of another model
    scores = [row for row in rows if row.gradients == 0 < row.queries]
    best = min(scores, key=lambda row: row.robust_accuracy, default=None)
    least = min((row.robust_accuracy for row in rows if row.gradients > 0), default=0.0)
    if best is not None and best.robust_accuracy < least - CLEARLY:
        yield Finding(
            name="masked-gradients",
            id="G8",
            status="warn",
            figure=least - best.robust_accuracy,
            threshold=CLEARLY,
            samples=_only(best, [row for row in rows if row.gradients > 0]),
            message=f"{best.name}, which sees scores alone, leaves {percent(best.robust_accuracy)}, every attack with "
            f"gradients at least {percent(least)}: the model hides its gradient, which is no robustness. Believe no "
            "attack with exact gradients.",
            advice=next_change(
                already, "traced", "bpda", "finite-differences", "smoothed", where="what hides the gradient"
            ),
        )


def percent(share: float) -> str:
    """A fraction as text, ``0.125`` as ``12.5 %``."""
    return f"{100 * share:.1f} %"


def _lost_in(where: str) -> str:
    return f" It is lost in {where}." if where else ""


def _without_gradient(row: Row) -> NDArray[np.bool_]:
    """Of the attacked samples those that lost the gradient in more than half of their steps, bool (attacked,)."""
    lost, trace, correct = (row.arrays.get(name) for name in ("unusable_gradients", "trace", "correct"))
    if lost is None or trace is None or correct is None or not np.any(correct):
        return np.zeros(0, bool)
    attacked = np.asarray(correct, bool)
    # Backward passes would not do: an estimator may spend many of them on a step. Of n + 1 evaluations the last has no
    # gradient, so half of them is more than half of the n steps.
    evaluations = (~np.isnan(trace)).sum(0)
    return np.asarray((lost > 0)[attacked] & (2 * lost >= evaluations)[attacked])


def _attacked(row: Row, marked: NDArray[np.bool_]) -> tuple[int, ...]:
    """Indices, in the whole set, of the attacked samples that are ``marked``, bool (attacked,)."""
    return tuple(np.flatnonzero(row.arrays["correct"])[marked].tolist())


def _samples(row: Row, name: str) -> tuple[int, ...]:
    """Indices at which an array of the row is true; none where it was not recorded."""
    return tuple(np.flatnonzero(row.arrays[name]).tolist()) if name in row.arrays else ()


def _only(row: Row, others: Sequence[Row]) -> tuple[int, ...]:
    """Samples that ``row`` broke and none of ``others``."""
    if any("success" not in one.arrays for one in (row, *others)):
        return ()
    broken = np.asarray(row.arrays["success"], bool)
    for other in others:
        broken = broken & ~np.asarray(other.arrays["success"], bool)
    return tuple(np.flatnonzero(broken).tolist())
