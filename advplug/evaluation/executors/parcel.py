"""What a worker elsewhere is sent: how to build the job, and how its model must answer."""

from __future__ import annotations

import hashlib
import pickle
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from advplug.engine.problem import Progress
from advplug.errors import AdvplugError, InvalidInput, NoGradient
from advplug.evaluation.chain import Chain
from advplug.evaluation.executors.base import Answer, Labour, WorkerLost
from advplug.evaluation.storage.behaviour import alike, answers
from advplug.evaluation.storage.code import content_of
from advplug.evaluation.worker import Worker
from advplug.records.evaluation import Arrays
from advplug.records.job import Job

MOST_TRIES = 3
"""How many workers may die over one stage of a chain before that is taken for its fault."""

COMPARED = 16
"""Samples on which the model that a worker built is compared with the one here."""


@dataclass(frozen=True)
class Parcel:
    """The pickled function that builds the job, a hash of its data, and what its model answers to the first samples."""

    build: bytes
    data: str
    answers: Arrays

    def worker(self, number: int = 0) -> Worker:
        """The worker, on the device of its ``number`` where there are several GPUs.

        Raises
        ------
        InvalidInput: the data that were read here differ, or the model that was built here answers otherwise.
        """
        job: Job = pickle.loads(self.build)()
        devices = torch.cuda.device_count()
        if devices > 1 and job.images.inputs.is_cuda:
            job = on_device(job, torch.device("cuda", number % devices))
        if _data_of(job) != self.data:
            raise InvalidInput(
                f"the samples that a worker read for {job.case} differ from those here: what reads them must give the "
                "same every time (seed it, or save the tensors)"
            )
        if not alike(answers(first_of(job)), self.answers):
            raise InvalidInput(
                f"the model {job.case} that a worker built answers otherwise than the one here: what makes it must "
                "give the same weights every time (seed it, or load a file)"
            )
        return Worker(job)


def packed(job: Job, build: Callable[[], Job]) -> Parcel:
    """The parcel for workers on ``job``, which ``build`` makes again in their processes.

    Raises
    ------
    InvalidInput: the job cannot be sent.
    """
    import cloudpickle  # slow, and rarely needed

    try:
        content = cloudpickle.dumps(build)
    except Exception as error:  # whatever stands in a notebook
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InvalidInput(
            f"the job cannot be sent to other processes ({why}): give the model as package.module:callable, or take "
            "one worker"
        ) from error
    return Parcel(content, _data_of(job), answers(first_of(job)))


def _data_of(job: Job) -> str:
    """Hash of the samples, and of the attacker's own."""
    digest = hashlib.sha256()
    for images in (job.images, job.auxiliary):
        if images is not None:
            digest.update(content_of(images.inputs) + content_of(images.labels))
    return digest.hexdigest()


def first_of(job: Job) -> Job:
    """The job on a few of its samples."""
    return replace(job, images=job.images[:COMPARED])


def on_device(job: Job, device: torch.device) -> Job:
    """The job with its models and images on ``device``."""
    recipes = tuple(recipe if recipe.on is None else replace(recipe, on=recipe.on.to(device)) for recipe in job.recipes)
    own = None if job.auxiliary is None else job.auxiliary.to(device)
    return replace(job, model=job.model.to(device), images=job.images.to(device), recipes=recipes, auxiliary=own)


def attempt(worker: Worker, chain: Chain, before: bytes | None, progress: Progress | None) -> tuple[str, Any]:
    """One stage of a chain, as a kind and a content that can be sent; :func:`answer_of` reads them."""
    try:
        piece = worker.advance(chain, before, progress)
    except NoGradient as error:
        return "no gradient", str(error)
    except Exception as error:
        return "failed", packed_error(error)
    return "piece", (piece.to_bytes(), piece.done)


def answer_of(chain: Chain, kind: str, content: Any) -> Answer:
    """The answer that a worker sent.

    Raises
    ------
    Exception: what the work raised there.
    """
    if kind == "failed":
        raise unpacked(content)
    if kind == "no gradient":
        return Answer(chain, b"", True, NoGradient(content))
    return Answer(chain, *content)


class Deaths:
    """Counts workers that died over the same stage of the same chain."""

    def __init__(self, labour: Labour) -> None:
        self.labour = labour
        self._counts: Counter[Chain] = Counter()

    def count(self, chain: Chain, why: str) -> None:
        """One more.

        Raises
        ------
        WorkerLost: it is the last that is taken for chance.
        """
        self._counts[chain] += 1
        if self._counts[chain] >= MOST_TRIES:
            name = self.labour.job.recipes[chain.recipe].name
            raise WorkerLost(
                f"{MOST_TRIES} workers ended over {name}, samples {chain.start} to {chain.stop} (the last: {why}): is "
                "there enough memory? Take fewer --workers, or a smaller --batch-size"
            )

    def forget(self, chain: Chain) -> None:
        """The stage is done."""
        self._counts.pop(chain, None)


def packed_error(error: BaseException) -> bytes:
    """``error`` for another process; its text where it cannot be pickled."""
    if not isinstance(error, AdvplugError):
        traceback.print_exception(error)
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:  # its class has a constructor of its own
        content = pickle.dumps(AdvplugError(f"{type(error).__name__}: {error}"))
    return content


def unpacked(content: bytes) -> BaseException:
    """The error that :func:`packed_error` packed."""
    error: BaseException = pickle.loads(content)
    return error
