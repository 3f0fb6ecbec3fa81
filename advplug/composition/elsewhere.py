"""Trials in other processes of this machine, each of which has a model and a bench of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from advplug.composition.plan import Plan
from advplug.composition.sequence import look
from advplug.composition.trials import Bench, Outcome
from advplug.engine.problem import Problem
from advplug.evaluation.executors.base import WorkerLost
from advplug.evaluation.executors.parcel import Parcel, packed
from advplug.evaluation.executors.processes import GUARD, SPAWN, Processes, end_with_parent
from advplug.evaluation.problems import as_findings, problem_of
from advplug.records.composition import Sentence
from advplug.records.job import Job


class Elsewhere:
    """Tries sentences in the workers of ``processes``; close it in the end.

    Parameters
    ----------
    job: the search as a job, whose one recipe is the search itself.
    build: makes the same job in another process.

    Raises
    ------
    InvalidInput: the job cannot be sent.
    """

    def __init__(self, job: Job, build: Callable[[], Job], plan: Plan, processes: Processes) -> None:
        count, threads = processes.shares(on_gpu=job.images.inputs.is_cuda)
        self._numbers = SPAWN.Value("i", 0)
        given = (self._numbers, packed(job, build), plan, threads)
        self._pool = ProcessPoolExecutor(count, mp_context=SPAWN, initializer=_begin, initargs=given)
        self._ahead: dict[tuple[str, int], Future[Outcome]] = {}

    def turn_to(self, part: int, bench: Bench) -> None:
        """From now on sentences are for ``part``, on the samples of ``bench``, of which each worker makes its own."""
        self._forget()
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
        WorkerLost: a worker died.
        InvalidInput: a worker cannot make the same job.
        """
        begun = self._ahead.pop((repr(sentence), samples), None) or self._begun(sentence, samples)
        try:
            return begun.result()
        except BrokenProcessPool as error:
            why = f"is there enough memory? Take fewer workers. If this is a script, {GUARD}"
            raise WorkerLost(f"a worker ended over {sentence}: {why}") from error

    def close(self) -> None:
        """End the workers, each after the trial that it is at."""
        self._pool.shutdown(cancel_futures=True)

    def _forget(self) -> None:
        """Leave out what was begun and is not needed any more."""
        for begun in self._ahead.values():
            begun.cancel()
        self._ahead.clear()

    def _begun(self, sentence: Sentence, samples: int) -> Future[Outcome]:
        part, rows, rate = self._asked
        return self._pool.submit(_attempt, part, rows, rate, sentence, samples)


class _Worker:
    """What one process has: the problem, built when it is first asked for, and the bench of the part in hand."""

    def __init__(self, number: int, parcel: Parcel, plan: Plan) -> None:
        self.number, self.parcel, self.plan = number, parcel, plan
        self.problem: Problem | None = None
        self.bench: Bench | None = None
        self.part = 0

    def attempt(self, part: int, rows: list[int], rate: list[float], sentence: Sentence, samples: int) -> Outcome:
        if self.problem is None:
            job = self.parcel.worker(self.number).job
            self.problem = problem_of(job, job.recipes[0])
        if self.bench is None or part != self.part:
            device = self.problem.inputs.device
            there = self.problem.at(torch.tensor(rows, device=device))
            self.bench = look(there, self.plan, torch.tensor(rate, device=device))[0]
            self.part = part
        return self.bench.attempt(sentence, torch.arange(samples, device=self.problem.inputs.device))


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


@torch.inference_mode(False)
def _attempt(part: int, rows: list[int], rate: list[float], sentence: Sentence, samples: int) -> Outcome:
    with as_findings():
        return _worker.attempt(part, rows, rate, sentence, samples)
