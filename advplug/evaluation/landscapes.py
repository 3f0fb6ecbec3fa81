"""The margin around some samples, for the report to draw: along a random direction, against the gradient, and in the
plane of both.

A margin that jumps, or that a step against its gradient does not lower, tells of gradients that mislead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.objective import Objective
from advplug.engine.query_counter import QueryCounter
from advplug.engine.region import Region
from advplug.errors import AdvplugError
from advplug.gradients import Exact
from advplug.losses import Margin
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tensors import norms
from advplug.records.evaluation import Arrays, Evaluation
from advplug.records.job import Job

SAMPLES, SIDE, POINTS = 3, 21, 81
"""How many samples, and values along a side of a plane and along a line: at most 1809 forward passes in all."""


@torch.inference_mode(False)
def landscapes(job: Job, evaluation: Evaluation) -> Arrays:
    """What the margin of the true class is around a few samples, at distances up to the budget.

    Of a minimum-norm run the budget is the least median distance that an attack found. Of a random model every value
    is that of one draw; of a detector it is that of the scores, rejected or not.

    Returns
    -------
    ``shown``, int64 (S,), the samples; ``radius``, float64 (1,); ``random`` and ``descent``, float32 (S, POINTS), the
    margin at even steps from ``-radius`` to ``radius`` along a random direction and against the gradient of the margin;
    ``plane``, float32 (S, SIDE, SIDE), rows along the random direction. Values that are no number are NaN. Without a
    usable gradient at one of the samples there is no ``descent`` and no ``plane``. Empty under l0, where the budget
    counts values, where no sample is right or no budget known, and for a model that transcribes and has no margin.
    """
    radius = _radius(evaluation)
    shown = _shown(evaluation)
    if job.threat.norm == "l0" or not radius or not len(shown) or not job.model.scores_classes:
        return {}
    rows = torch.from_numpy(shown).to(job.images.labels.device)
    with Gateway(job.model, job.images.inputs[:1], seed=job.seed) as gateway:
        x, labels = gateway.cast(job.images.inputs[rows]), job.images.labels[rows]
        region = Region.of(job.threat, job.images.inputs).at(rows)
        noise = Noise.of(job.seed, rows, 0)
        draws = noise.normal(0, tuple(x.shape[1:]))[0].to(x.dtype)
        side = _direction(draws, region, radius)
        slope = _slope(gateway, x, labels, rows)
        down = None if slope is None else _direction(-slope, region, radius)
        found = {"shown": shown, "radius": np.asarray([radius])}
        for name, arrows in _arrows(side, down).items():
            points = _inside(x[:, None] + arrows, region)
            margins = _margins(gateway, points.flatten(0, 1), labels.repeat_interleave(points.shape[1]))
            found[name] = margins.reshape(len(shown), *((SIDE, SIDE) if name == "plane" else (POINTS,)))
        return found


def _arrows(side: Tensor, down: Tensor | None) -> dict[str, Tensor]:
    """What is added to each sample, (S, points, ...), for each line and the plane."""
    fine, coarse = (torch.linspace(-1, 1, count).to(side) for count in (POINTS, SIDE))

    def along(direction: Tensor, steps: Tensor) -> Tensor:
        return steps.view(1, -1, *(1,) * (direction.ndim - 1)) * direction[:, None]

    lines = {"random": along(side, fine)}
    if down is None:
        return lines
    plane = along(side, coarse)[:, :, None] + along(down, coarse)[:, None]
    return {**lines, "descent": along(down, fine), "plane": plane.flatten(1, 2)}


def _inside(points: Tensor, region: Region) -> Tensor:
    """``points`` (S, m, ...) moved into the bounds."""
    points = points.clamp(*region.bounds)
    if region.lower is None or region.upper is None:
        return points
    lower, upper = (bound.to(points.dtype)[:, None] for bound in (region.lower, region.upper))
    return torch.minimum(torch.maximum(points, lower), upper)


def _direction(vectors: Tensor, region: Region, radius: float) -> Tensor:
    """Directions (S, ...) of the norm ``radius``, within the mask and the shares of the budget: signs under linf."""
    if region.mask is not None:
        vectors = vectors * region.mask
    if region.norm == "linf":
        shares = 1.0 if region.shares is None else region.shares.to(vectors.dtype)
        return vectors.sign() * shares * radius
    lengths = norms(vectors.double(), region.norm).clamp(min=torch.finfo(torch.float64).tiny)
    return vectors * (radius / lengths).to(vectors.dtype).view(-1, *(1,) * (vectors.ndim - 1))


def _slope(gateway: Gateway, x: Tensor, labels: Tensor, rows: Tensor) -> Tensor | None:
    """The gradient of the margin (S, ...); None where the model gives none, or one of no use."""
    objective = Objective(gateway, Margin(), labels, None, rows, QueryCounter(len(rows), x.device))
    try:
        slope = Exact()(objective, x, Noise.of(0, rows, 0), 0).gradient
    except AdvplugError:  # the page says that there was no gradient
        return None
    peaks = slope.flatten(1).abs().amax(1)
    return slope if bool(((peaks > 0) & peaks.isfinite()).all()) else None


def _margins(gateway: Gateway, points: Tensor, labels: Tensor) -> NDArray[np.float32]:
    scores = gateway.scores(points, finite=False)
    truth = labels[:, None]
    margin = scores.gather(1, truth).squeeze(1) - scores.scatter(1, truth, -torch.inf).amax(1)
    return torch.where(margin.isfinite(), margin, torch.nan).float().cpu().numpy()


def _radius(evaluation: Evaluation) -> float | None:
    if evaluation.epsilon is not None:
        return evaluation.epsilon if math.isfinite(evaluation.epsilon) else None
    return min((row.median_distance for row in evaluation.rows if row.median_distance is not None), default=None)


def _shown(evaluation: Evaluation) -> NDArray[np.int64]:
    """Some samples that are right: one that falls, one that stands, then others of their order, ascending."""
    rows = [row for row in evaluation.rows if row.role != "control"]
    row = min(rows, key=lambda row: row.robust_accuracy, default=None)
    if row is None:
        return np.zeros(0, np.int64)
    correct, success = np.asarray(row.arrays["correct"], bool), np.asarray(row.arrays["success"], bool)
    chosen: list[int] = []
    for number in _in_turn(np.flatnonzero(correct & success), np.flatnonzero(correct & ~success)):
        chosen.append(number)
        if len(chosen) == SAMPLES:
            break
    return np.asarray(sorted(chosen), np.int64)


def _in_turn(one: NDArray[np.int64], other: NDArray[np.int64]) -> Iterator[int]:
    for place in range(max(len(one), len(other))):
        for numbers in (one, other):
            if place < len(numbers):
                yield int(numbers[place])
