"""What the stages of the suite say about each other."""

from __future__ import annotations

from collections.abc import Iterator

from advplug.evaluation import CLEARLY, Evaluation, percent
from advplug.records import Finding
from advplug_attack_standard._standard import SQUARE


def scores_beat_gradients(evaluation: Evaluation) -> Iterator[Finding]:
    """A finding for each run in which Square, the last stage, broke much that the stages with gradients had not."""
    for row in evaluation.rows:
        if not row.stages or row.stages[-1][0] != SQUARE:
            continue
        (_, before), (_, after) = row.stages[-2:]
        if after < before - CLEARLY:
            yield Finding(
                name="masked-gradients",
                status="warn",
                message=f"{row.name}: with gradients {percent(before)} were left, of these scores alone break "
                f"{percent(before - after)}: the model hides its gradient, which is no robustness.",
                advice="Change the gradient: traced, finite differences, smoothed or BPDA.",
            )
