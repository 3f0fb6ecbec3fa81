"""Processes on this machine, each with a model of its own. One that dies is replaced, and its work done again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from advplug.errors import InvalidInput
from advplug.evaluation.chain import Chain
from advplug.evaluation.executors.base import Answer, Executor, Labour, WorkerLost
from advplug.evaluation.executors.parcel import (
    MOST_TRIES,
    Deaths,
    Parcel,
    answer_of,
    attempt,
    packed,
    packed_error,
    unpacked,
)

EVERY = 0.5
"""Seconds between two words of progress from a worker."""

GUARD = 'put what a script runs below if __name__ == "__main__", so that a worker can import it'

SPAWN = multiprocessing.get_context("spawn")  # a forked child of a process with threads may hang


@dataclass(frozen=True)
class Processes(Executor):
    """``workers`` processes, 0 for one on each GPU, or on each core for a job on the CPU.

    Each has so many ``threads`` of torch, or its share of the cores. Where there are several GPUs, workers take them in
    turn.
    """

    workers: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise InvalidInput(f"{self.workers} workers: give at least 1, or 0 for as many as the machine has room for")

    def count(self, *, on_gpu: bool) -> int:
        """How many workers there are for a job on GPUs, or on the CPU."""
        return self.workers or (max(1, torch.cuda.device_count()) if on_gpu else _cores())

    def shares(self, *, on_gpu: bool, most: int = sys.maxsize) -> tuple[int, int]:
        """How many workers there are, at most ``most``, and the threads of torch that each has."""
        size = min(self.count(on_gpu=on_gpu), most)
        return size, self.threads or max(1, _cores() // size)

    def run(self, labour: Labour) -> Iterator[Answer]:
        size, threads = self.shares(on_gpu=labour.job.images.inputs.is_cuda, most=max(1, len(labour.chains)))
        pool = _Pool(labour, size, threads)
        try:
            yield from pool.answers()
        finally:
            pool.close()


@dataclass
class _Helper:
    """One process, as its parent sees it."""

    process: Any
    pipe: Connection
    ready: bool = False
    chain: Chain | None = None


@dataclass
class _Pool:
    labour: Labour
    size: int
    threads: int
    helpers: list[_Helper] = field(default_factory=list)
    started: int = 0
    stillborn: int = 0

    def __post_init__(self) -> None:
        self.waiting, self.deaths = deque(self.labour.chains), Deaths(self.labour)
        self.parcel = packed(self.labour.job, self.labour.build)

    def answers(self) -> Iterator[Answer]:
        while self.waiting or any(helper.chain is not None for helper in self.helpers):
            self._hand_out()
            pipes = {helper.pipe: helper for helper in self.helpers}
            for pipe in wait(list(pipes)):
                helper = pipes[pipe]  # type: ignore[index]
                try:
                    kind, content = helper.pipe.recv()
                except (EOFError, OSError):
                    self._replace(helper)
                    continue
                yield from self._heard(helper, kind, content)

    def _hand_out(self) -> None:
        """Give every idle worker a chain, and start workers for those that are left."""
        while len(self.helpers) < min(self.size, len(self.waiting) + len(self.helpers)):
            self.helpers.append(self._start())
        for helper in self.helpers:
            if helper.ready and helper.chain is None and self.waiting:
                helper.chain = self.waiting.popleft()
                try:
                    helper.pipe.send((helper.chain, self.labour.before(helper.chain)))
                except OSError:  # it died just now: the pipe says so next
                    continue

    def _heard(self, helper: _Helper, kind: str, content: Any) -> Iterator[Answer]:
        chain = helper.chain
        if kind == "hello":
            with suppress(OSError):  # it died just now: the pipe says so next
                helper.pipe.send(self.parcel)
        elif kind == "ready":
            helper.ready, self.stillborn = True, 0
        elif chain is not None and kind == "steps":
            self.labour.heard(chain, *content)
        elif chain is not None:
            helper.chain = None
            answer = answer_of(chain, kind, content)
            self.deaths.forget(chain)
            yield answer
            if not answer.done:
                self.waiting.appendleft(chain)
        else:
            raise unpacked(content)

    def _replace(self, helper: _Helper) -> None:
        """Put the chain of a worker that died back, for another one.

        Raises
        ------
        WorkerLost: too many died over this chain, or never came to work.
        """
        self.helpers.remove(helper)
        helper.process.join()
        code = helper.process.exitcode
        why = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        if helper.chain is not None:
            self.deaths.count(helper.chain, why)
            self.waiting.appendleft(helper.chain)
        elif not helper.ready:
            self.stillborn += 1
            if self.stillborn == MOST_TRIES:
                killed = code is not None and code < 0
                remedy = "is there enough memory? Take fewer --workers" if killed else GUARD
                raise WorkerLost(f"{MOST_TRIES} workers ended before they could begin (the last: {why}): {remedy}")

    def _start(self) -> _Helper:
        """A process that asks for the parcel: given at the start, it would block us for ever if that one dies then."""
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_serve, args=(theirs, self.started, self.threads), daemon=True)
        self.started += 1
        process.start()
        theirs.close()  # so that the end of the process ends the pipe
        return _Helper(process, ours)

    def close(self) -> None:
        for helper in self.helpers:
            helper.pipe.close()
            helper.process.terminate()
        for helper in self.helpers:
            helper.process.join()


def _serve(pipe: Connection, number: int, threads: int) -> None:
    """The life of a worker: it builds the job, then works on one chain after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the parent ends its workers
    end_with_parent()
    torch.set_num_threads(threads)
    try:
        pipe.send(("hello", None))
        parcel: Parcel = pipe.recv()
        worker = parcel.worker(number)
        pipe.send(("ready", None))
        while True:
            chain, before = pipe.recv()
            pipe.send(attempt(worker, chain, before, _Reports(pipe)))
    except (EOFError, BrokenPipeError):  # the parent is done, or dead
        return
    except BaseException as error:
        pipe.send(("failed", packed_error(error)))


class _Reports:
    """Tells the parent about steps, not more often than it looks."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.last = pipe, 0.0

    def __call__(self, done: int, total: int, alive: int) -> None:
        if time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            self.pipe.send(("steps", (done, total, alive)))


def end_with_parent() -> None:
    """Let this process not go on for hours for a parent that was killed."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
