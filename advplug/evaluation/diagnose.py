"""Every finding about an evaluation, in the order of the report."""

from __future__ import annotations

from collections.abc import Sequence

from advplug.evaluation.diagnostics import (
    sign_of_chance,
    sign_of_missing_classes,
    sign_of_no_room,
    signs_of_few_steps,
    signs_of_lost_successes,
    signs_of_masking,
    signs_of_no_gradient,
)
from advplug.evaluation.preflight import averages, preflight
from advplug.evaluation.problems import as_findings, problem_of
from advplug.records.evaluation import Evaluation
from advplug.records.finding import Finding
from advplug.records.job import Job


def diagnose(job: Job, evaluation: Evaluation, not_run: Sequence[str]) -> list[Finding]:
    """What the host itself sees; ``not_run`` names attacks without a row."""
    found = [
        # A defense may have more classes than its data, such as the unused words of a code.
        *sign_of_missing_classes(job.images, job.model.num_classes if job.preset is None else 0),
        *sign_of_no_room(job.threat, job.images.inputs),
        *sign_of_chance(evaluation, job.model.num_classes),
        *signs_of_no_gradient(evaluation, not_run),
        *signs_of_lost_successes(evaluation),
        *signs_of_few_steps(evaluation),
        *signs_of_masking(evaluation),
    ]
    if job.claim is not None:  # a case knows what it attacks
        return found
    recipe = next((recipe for recipe in job.recipes if averages(recipe.gradient)), job.recipes[0])
    # Whoever reads of lost gradients need not be told of the inputs, too.
    lost = any(finding.name in ("unusable-gradients", "no-gradient") for finding in found)
    with as_findings():
        before = preflight(problem_of(job, recipe))
    return found + [finding for finding in before if not (lost and finding.name == "zero-gradients")]
