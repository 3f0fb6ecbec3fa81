"""What a model answers, as the record of a run keeps it: rows of a model that answers otherwise are not read back.

Weights and class name do not tell: an edited ``forward`` or another capability changes the answers and neither of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from importlib import metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from advplug.attack import Attack
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Problem
from advplug.gradients import BPDA, GradientEstimator
from advplug.model import Capabilities
from advplug.plugins.manager import Manager
from advplug.records.evaluation import Row
from advplug.records.job import Job

PROBES = 4
"""Inputs of uniform noise that every model is asked about, beside the data."""

_CLOSE = {"rtol": 1e-3, "atol": 1e-4}  # other threads or another machine round otherwise; an edit does more
_FLIPPED = 0.01  # share of the stored successes that rounding on the boundary may turn


def answers(job: Job) -> dict[str, NDArray[Any]]:
    """Scores float (N + 4, K) and decisions (N + 4,) on the data and on fixed probes, at the seed of the job.

    Also the scores of its surrogate, (N + 4, K), if an attack takes gradients through that.
    """
    low, high = job.threat.bounds
    shape = (PROBES, *job.images.inputs.shape[1:])
    probes = low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    inputs = torch.cat((job.images.inputs, probes.to(job.images.inputs)))
    with Gateway(job.model, inputs[:1], seed=job.seed) as gateway:
        points = gateway.cast(inputs)
        scores = gateway.scores(points, finite=False)
        decision = gateway.decide(points[: len(job.images)])
        stand_in = _surrogate_scores(job, gateway, points)
    return {
        "scores": scores.double().cpu().numpy(),
        "labels": decision.labels.cpu().numpy(),
        "accepted": decision.accepted.cpu().numpy(),
        **stand_in,
    }


@torch.no_grad()
def _surrogate_scores(job: Job, gateway: Gateway, points: torch.Tensor) -> dict[str, NDArray[Any]]:
    surrogate = job.model.capabilities.surrogate
    if surrogate is None or not any(_through_surrogate(recipe.gradient) for recipe in job.recipes):
        return {}
    scores = torch.cat([gateway.ask(surrogate, part) for part in points.split(gateway.max_rows)])
    return {"surrogate": scores.double().cpu().numpy()}


def _through_surrogate(gradient: GradientEstimator) -> bool:
    inner = getattr(gradient, "of", None)
    return isinstance(gradient, BPDA) or (isinstance(inner, GradientEstimator) and _through_surrogate(inner))


def alike(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    """Whether two records of answers are those of one model, but for rounding."""
    if one.keys() != other.keys() or not np.array_equal(one["accepted"], other["accepted"]):
        return False
    return all(_close(one[name], other[name]) for name in ("scores", "surrogate") if name in one)


def _close(first: NDArray[Any], second: NDArray[Any]) -> bool:
    if first.shape != second.shape:
        return False
    scale = float(np.nanmax(np.abs(first), initial=1e-30))
    return bool(np.allclose(first / scale, second / scale, **_CLOSE, equal_nan=True)) and np.isclose(
        scale, np.nanmax(np.abs(second), initial=1e-30), rtol=1e-2
    )


def fingerprint(job: Job, manager: Manager) -> str:
    """Hash of what a record must agree on beside the answers: data, threat model, seed, declarations, versions."""
    model = job.model
    offers = sorted(field.name for field in fields(Capabilities) if getattr(model.capabilities, field.name) is not None)
    declared = (model.outputs, model.stochastic, model.rejects, model.num_classes, tuple(model.bounds), offers)
    # Of what brings the model and the data; the version of an attack belongs to its own row.
    versions = {key: manager.provenance(key).version for key in job.plugins if not key.startswith("attack:")}
    text = repr((job.threat, job.seed, job.preset, declared, sorted(versions.items()), metadata.version("advplug")))
    digest = hashlib.sha256(text.encode())
    tensors = [*model.state_dict().values(), job.images.inputs, job.images.labels]
    if job.auxiliary is not None:
        tensors += [job.auxiliary.inputs, job.auxiliary.labels]
    for tensor in tensors:
        # NumPy has no bfloat16, and a counter has no dimension to view as bytes.
        content = tensor.detach().cpu().flatten().view(torch.uint8)
        digest.update(content.numpy().tobytes())
    return digest.hexdigest()


def version_of(attack: Attack) -> str:
    """Version of the distribution that an attack comes from; "" where it comes from none, such as a notebook."""
    package = type(attack).__module__.partition(".")[0]
    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return ""


def still_holds(problem: Problem, row: Row) -> bool:
    """Whether the successes of a stored row are successes of today's model, judged again by a fresh decision."""
    success = torch.from_numpy(np.asarray(row.arrays["success"], bool))
    if problem.model.stochastic or not bool(success.any()):
        return True
    device = problem.inputs.device
    points = torch.from_numpy(np.asarray(row.arrays["adversarials"]))[success].to(device)
    targets = torch.from_numpy(np.asarray(row.arrays["target"]))[success].to(device)
    success = success.to(device)
    with problem.gateway() as gateway:
        rate = gateway.success_rate(
            gateway.cast(points), problem.criterion, labels=problem.labels[success], targets=targets, draws=1
        )
    return float((rate > 0.5).double().mean()) >= 1 - _FLIPPED
