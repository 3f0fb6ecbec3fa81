"""Trials in workers that have a model and a bench of their own: processes of this machine, or actors of a cluster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import cycle
from typing import Any, NamedTuple

import torch

from advplug.composition.plan import Plan
from advplug.composition.sequence import look
from advplug.composition.trials import Bench, Outcome
from advplug.engine.problem import Problem
from advplug.evaluation.executors import Processes, Ray
from advplug.evaluation.executors.base import WorkerLost
from advplug.evaluation.executors.parcel import Parcel, packed, packed_error, unpacked
from advplug.evaluation.executors.processes import GUARD, SPAWN, end_with_parent
from advplug.evaluation.executors.ray import connected, settle
from advplug.evaluation.problems import as_findings, problem_of
from advplug.records.composition import Sentence
from advplug.records.job import Job


class Order(NamedTuple):
    """A trial for a part of the sequence, on the first ``samples`` of ``rows``, which fell at ``rate``."""

    part: int
    rows: list[int]
    rate: list[float]
    sentence: Sentence
    samples: int


Submit = Callable[[Order], "Future[Outcome | bytes]"]
"""Begins a trial. What it raises there comes as bytes, which :func:`unpacked` reads."""


class Elsewhere:
    """Tries sentences in workers, which ``submit`` hands a trial; ``lost`` are the errors of one that ended."""

    def __init__(self, submit: Submit, lost: type[Exception]) -> None:
        self._submit, self._lost = submit, lost
        self._ahead: dict[tuple[str, int], Future[Outcome | bytes]] = {}

    def turn_to(self, part: int, bench: Bench) -> None:
        """From now on sentences are for ``part``, on the samples of ``bench``, of which each worker makes its own."""
        for begun in self._ahead.values():
            begun.cancel()
        self._ahead.clear()
        self._asked = part, bench.problem.samples.tolist(), bench.rate.tolist()

    def expect(self, sentences: Sequence[Sentence], samples: int) -> None:
        """Begin with what will be asked for next."""
        for sentence in sentences:
            key = (repr(sentence), samples)
            if key not in self._ahead:
                self._ahead[key] = self._begun(sentence, samples)

    def outcome(self, sentence: Sentence, samples: int) -> Outcome:
        """What ``sentence`` does to the first so many of the samples.

        Raises
        ------
        WorkerLost: a worker ended.
        InvalidInput: a worker cannot make the same job.
        """
        begun = self._ahead.pop((repr(sentence), samples), None) or self._begun(sentence, samples)
        try:
            found = begun.result()
        except self._lost as error:
            why = f"is there enough memory? Take fewer workers. If this is a script, {GUARD}"
            raise WorkerLost(f"a worker ended over {sentence}: {why}") from error
        if isinstance(found, bytes):
            raise unpacked(found)
        return found

    def _begun(self, sentence: Sentence, samples: int) -> Future[Outcome | bytes]:
        return self._submit(Order(*self._asked, sentence, samples))


@contextmanager
def in_processes(job: Job, build: Callable[[], Job], plan: Plan, place: Processes) -> Iterator[Elsewhere]:
    """Processes of this machine; each ends after the trial that it is at.

    Parameters
    ----------
    job: the search as a job.
    build: makes the same job in another process.

    Raises
    ------
    InvalidInput: the job cannot be sent.
    """
    size, threads = place.shares(on_gpu=job.images.inputs.is_cuda)
    given = (SPAWN.Value("i", 0), packed(job, build), plan, threads)
    pool = ProcessPoolExecutor(size, mp_context=SPAWN, initializer=_begin, initargs=given)
    try:
        yield Elsewhere(lambda order: pool.submit(_try, order), BrokenProcessPool)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def in_cluster(job: Job, build: Callable[[], Job], plan: Plan, place: Ray) -> Iterator[Elsewhere]:
    """Actors of a Ray cluster, which take trials in turn; the parameters are those of :func:`in_processes`.

    Raises
    ------
    InvalidInput: the job cannot be sent, Ray is not installed, or no cluster answers.
    """
    with connected(place.address) as ray:
        room, options = place.room(ray, on_gpu=job.images.inputs.is_cuda)
        parcel, kind = ray.put(packed(job, build)), ray.remote(**options)(_Actor)
        actors = [kind.remote(parcel, plan, place.threads, sys.path, os.getcwd()) for _ in range(room)]
        turn = cycle(actors)
        try:
            yield Elsewhere(lambda order: next(turn).attempt.remote(order).future(), ray.exceptions.RayActorError)
        finally:
            for actor in actors:
                ray.kill(actor)


class _Worker:
    """What one worker has: the problem, built when it is first asked for, and the bench of the part in hand."""

    def __init__(self, number: int, parcel: Parcel, plan: Plan) -> None:
        self.number, self.parcel, self.plan = number, parcel, plan
        self.problem: Problem | None = None
        self.bench: Bench | None = None
        self.part = 0

    @torch.inference_mode(False)
    def attempt(self, order: Order) -> Outcome | bytes:
        """The outcome of a trial, or what was raised, packed."""
        try:
            with as_findings():
                return self._attempt(order)
        except Exception as error:
            return packed_error(error)

    def _attempt(self, order: Order) -> Outcome:
        if self.problem is None:
            job = self.parcel.worker(self.number).job
            self.problem = problem_of(job, job.recipes[0])
        device = self.problem.inputs.device
        if self.bench is None or order.part != self.part:
            there = self.problem.at(torch.tensor(order.rows, device=device))
            self.bench, _ = look(there, self.plan, torch.tensor(order.rate, device=device))
            self.part = order.part
        return self.bench.attempt(order.sentence, torch.arange(order.samples, device=device))


class _Actor:
    """A worker of a cluster."""

    def __init__(self, parcel: Parcel, plan: Plan, threads: int, path: list[str], folder: str) -> None:
        settle(threads, path, folder)
        self.worker = _Worker(0, parcel, plan)

    def attempt(self, order: tuple[Any, ...]) -> Outcome | bytes:
        return self.worker.attempt(Order(*order))


_worker: _Worker


def _begin(numbers: Any, parcel: Parcel, plan: Plan, threads: int) -> None:
    """The start of a process. What can fail comes with the first trial, whose error reaches the parent."""
    global _worker  # noqa: PLW0603  # a pool has no other place for what a process keeps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the parent ends its workers
    end_with_parent()
    torch.set_num_threads(threads)
    with numbers.get_lock():
        number, numbers.value = numbers.value, numbers.value + 1
    _worker = _Worker(number, parcel, plan)


def _try(order: Order) -> Outcome | bytes:
    return _worker.attempt(order)
