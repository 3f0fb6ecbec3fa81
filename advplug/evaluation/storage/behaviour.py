"""What a model answers, as the record of a run keeps it: rows of a model that answers otherwise are not read back.

Weights and class name do not tell: an edited ``forward`` or another capability changes the answers and neither of them.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import metadata
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.engine.gateway import Gateway, ask
from advplug.engine.problem import Problem
from advplug.evaluation.chain import SLICE
from advplug.evaluation.storage.code import content_of, digest_of, version_of
from advplug.gradients import BPDA, GradientEstimator
from advplug.model import Capabilities, DefendedModel
from advplug.plugins.manager import Manager
from advplug.records.job import Job

PROBES = 4
"""Inputs of uniform noise that every model is asked about, beside the data."""

SLOPES = 16
"""Inputs at which the gradient is taken, at most: the probes, and the first of the data."""

_CLOSE = {"rtol": 1e-3, "atol": 1e-4}  # other threads or another machine round otherwise; an edit does more
_SLOPE, _LEAST_SLOPE = 1e-2, 1e-6  # shares of the gradient of an input, and of the largest, that rounding may change
_FLIPPED = 0.01  # share of the stored decisions and successes that rounding on the boundary may turn
_SCORES = ("scores", "surrogate", "detector_scores")

_JUDGED = ("success", "adversarials", "target", "correct")

_Answer = tuple[NDArray[np.float64], NDArray[np.float64]]


def answers(job: Job) -> dict[str, NDArray[Any]]:
    """Scores float (N + 4, K) and decisions (N,) on the data and on fixed probes, at the seed of the job.

    At up to 16 of these inputs also ``gradient``, float (n, ...), of a weighted sum of the scores, which is all that an
    edit of the backward pass changes; and what attacks may ask of it besides, ``features`` (n, ...) for one, with
    ``features_gradient``. NaN where there is no gradient, and empty, (0,), where the model raises an error.
    """
    low, high = job.threat.bounds
    shape = (PROBES, *job.images.inputs.shape[1:])
    probes = low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    inputs = torch.cat((job.images.inputs, probes.to(job.images.inputs)))
    with Gateway(job.model, inputs[:1], seed=job.seed) as gateway:
        gateway.take_at_most(SLICE)
        points = gateway.cast(inputs)
        scores = gateway.scores(points, finite=False)
        decision = gateway.decide(points[: len(job.images)])
    chosen = torch.cat((points[: len(job.images)][: SLOPES - PROBES], points[-PROBES:]))
    found = {
        "scores": scores.double().cpu().numpy(),
        "labels": decision.labels.cpu().numpy(),
        "accepted": decision.accepted.cpu().numpy(),
        "gradient": _with_gradient(job, chosen, lambda model: model)[1],
    }
    for name in _offers(job):
        found[name], found[f"{name}_gradient"] = _with_gradient(job, chosen, attrgetter(f"capabilities.{name}"))
    return found


def _offers(job: Job) -> list[str]:
    """What the model can be asked besides its scores; the surrogate only if an attack takes gradients through it."""
    through = any(_through_surrogate(recipe.gradient) for recipe in job.recipes)
    names = ("features", "detector_scores", *(("surrogate",) if through else ()))
    return [name for name in names if getattr(job.model.capabilities, name) is not None]


def _with_gradient(job: Job, points: Tensor, function: Callable[[DefendedModel], Any]) -> _Answer:
    """What ``function(model)`` answers to ``points`` (n, ...), and a gradient of it, at the job's seed."""
    with Gateway(job.model, points[:1], seed=job.seed) as gateway:

        def asked(part: Tensor) -> tuple[Tensor, Tensor]:
            part = part.detach().requires_grad_()
            answer = ask(gateway.searched, function(gateway.searched), part)
            if not answer.requires_grad:
                return answer, torch.full_like(part, torch.nan)
            weights = torch.randn(answer.shape[1:], generator=torch.Generator().manual_seed(1)).to(answer)
            slope = torch.autograd.grad((answer * weights).sum(), part, allow_unused=True)[0]
            return answer.detach(), torch.full_like(part, torch.nan) if slope is None else slope

        try:
            with warnings.catch_warnings():  # of operators without a gradient; an attack that needs one is told
                warnings.simplefilter("ignore")
                parts = gateway.in_passes(asked, points)
        except Exception:  # what it raises is the model's own affair, unless an attack asks the same
            return np.zeros(0), np.zeros(0)
    values, gradient = (torch.cat(column).double().cpu().numpy() for column in zip(*parts, strict=True))
    return values, gradient


def _through_surrogate(gradient: GradientEstimator) -> bool:
    inner = getattr(gradient, "of", None)
    return isinstance(gradient, BPDA) or (isinstance(inner, GradientEstimator) and _through_surrogate(inner))


def alike(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    """Whether two records of answers are those of one model, but for rounding."""
    if one.keys() != other.keys() or not np.array_equal(one["accepted"], other["accepted"]):
        return False
    if any(one[name].shape != other[name].shape for name in one) or not _agree(one["labels"] == other["labels"]):
        return False
    compared = one.keys() - {"labels", "accepted"}
    return all((_close if name in _SCORES else _parallel)(one[name], other[name]) for name in compared)


def _close(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether scores (n, K) agree, those of each class on its own scale: beside a large one others may be small."""
    finite = np.where(np.isfinite(first), np.abs(first), 0.0)
    scale = np.maximum(np.median(finite, axis=0), 1e-30)
    return bool(np.allclose(first / scale, second / scale, **_CLOSE, equal_nan=True))


def _parallel(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether gradients or features (n, ...) agree, those of each input on their own scale."""
    first, second = (array.reshape(len(array), -1 if array.size else 0) for array in (first, second))
    if not np.array_equal(np.isfinite(first), np.isfinite(second)):
        return False
    first, second = (np.where(np.isfinite(array), array, 0.0) for array in (first, second))
    lengths = np.linalg.norm(first, axis=1)
    allowed = np.maximum(_SLOPE * lengths, _LEAST_SLOPE * lengths.max(initial=0.0))
    return bool((np.linalg.norm(first - second, axis=1) <= allowed).all())


def _agree(same: Any) -> bool:
    """Whether decisions bool (N,) are the same, but for the few that rounding may turn."""
    return bool(np.mean(same) >= 1 - _FLIPPED)


def fingerprint(job: Job, manager: Manager) -> str:
    """Hash of what a record must agree on beside the answers: data, threat model, seed, declarations, versions."""
    model = job.model
    offers = sorted(field.name for field in fields(Capabilities) if getattr(model.capabilities, field.name) is not None)
    declared = (model.outputs, model.stochastic, model.rejects, model.num_classes, tuple(model.bounds), offers)
    # Of what brings the model and the data; the version of an attack belongs to its own row.
    versions = {key: manager.provenance(key).version for key in job.plugins if not key.startswith("attack:")}
    text = repr((job.threat, job.seed, job.preset, declared, sorted(versions.items()), metadata.version("advplug")))
    digest = hashlib.sha256(text.encode())
    # A user's own model is known by its answers; but a threshold of its detector may show at no clean input.
    if model.rejects or any(key.startswith("defense:") for key in job.plugins):
        digest.update(digest_of(*(type(module) for module in model.modules())).encode())
    tensors = [*model.state_dict().values(), job.images.inputs, job.images.labels]
    if model.capabilities.thresholds is not None:
        tensors.append(torch.as_tensor(model.capabilities.thresholds))
    if job.auxiliary is not None:
        tensors += [job.auxiliary.inputs, job.auxiliary.labels]
    for tensor in tensors:
        digest.update(content_of(tensor))
    return digest.hexdigest()


def code_of(recipe: Recipe, problem: Problem) -> str:
    """Hash of the code that a recipe runs outside the core, that of its stages included; the version of its attack."""
    stages = [(stage.name, stage.attack) for stage in recipe.attack.stages(problem) or ()]
    distribution = type(recipe.attack).__module__.partition(".")[0].replace("_", "-")
    parts = (recipe.attack, recipe.loss, recipe.gradient, recipe.criterion, recipe.on, stages)
    return f"{version_of(distribution)} {digest_of(*parts)}"


def still_holds(problem: Problem, arrays: Mapping[str, Any]) -> bool:
    """Whether today's model decides on the inputs and on stored successes as it did, judged afresh.

    ``arrays`` are per-sample records, NumPy or torch: ``success``, ``adversarials``, ``target`` and ``correct``.
    """
    if problem.model.stochastic:
        return True
    stored = {name: torch.as_tensor(np.asarray(arrays[name])) for name in _JUDGED if name in arrays}
    with problem.gateway() as gateway:
        gateway.take_at_most(SLICE)
        clean = gateway.decide(gateway.cast(problem.inputs))
        correct = ((clean.labels == problem.labels) & clean.accepted).cpu()
        return _agree((correct == stored.get("correct", correct)).numpy()) and _succeed(problem, stored, gateway)


def _succeed(problem: Problem, stored: Mapping[str, Tensor], gateway: Gateway) -> bool:
    success = stored["success"].bool()
    if not bool(success.any()):
        return True
    device = problem.inputs.device
    points, targets = (stored[name][success].to(device) for name in ("adversarials", "target"))
    rate = gateway.success_rate(
        gateway.cast(points), problem.criterion, labels=problem.labels[success.to(device)], targets=targets, draws=1
    )
    return _agree((rate > 0.5).cpu().numpy())
