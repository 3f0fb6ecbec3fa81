"""Actors of a Ray cluster, each with a model of its own. One that dies is replaced, and its work done again."""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from advplug.errors import InvalidInput
from advplug.evaluation.chain import Chain
from advplug.evaluation.executors.base import Answer, Executor, Labour
from advplug.evaluation.executors.parcel import Deaths, Parcel, answer_of, attempt, packed

_PATIENCE = 10.0
"""Seconds within which a cluster must take a connection."""


@dataclass(frozen=True)
class Ray(Executor):
    """``workers`` actors, or fewer if the cluster has not as many GPUs, or cores for so many ``threads`` of torch each.

    0 takes all that there are.
    ``address`` is that of a cluster, as Ray writes it; None takes the one that runs here, or starts one.
    """

    address: str | None = None
    workers: int = 0
    threads: int = 1

    def run(self, labour: Labour) -> Iterator[Answer]:
        """Let the actors work on the chains.

        Raises
        ------
        InvalidInput: Ray is not installed, or no cluster answers at the address.
        """
        with connected(self.address) as ray:
            room, options = self.room(ray, on_gpu=labour.job.images.inputs.is_cuda)
            crew = _Crew(ray, labour, min(room, max(1, len(labour.chains))), self.threads, options)
            try:
                yield from crew.answers()
            finally:
                crew.close()

    def room(self, ray: Any, *, on_gpu: bool) -> tuple[int, dict[str, Any]]:
        """How many actors the cluster has room for, at most as many as were asked for, and what each of them takes."""
        found = ray.cluster_resources()
        gpus, cores = int(found.get("GPU", 0)), int(found.get("CPU", 1))
        on_gpu = on_gpu and gpus > 0
        room = gpus if on_gpu else max(1, cores // self.threads)  # an actor without room would wait forever
        options = {"num_gpus": 1} if on_gpu else {"num_cpus": self.threads}
        return min(self.workers or room, room), options


@dataclass
class _Crew:
    """Actors, and what each of them works on."""

    ray: Any
    labour: Labour
    size: int
    threads: int
    options: dict[str, Any]
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, tuple[Any, Chain]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting, self.deaths = deque(self.labour.chains), Deaths(self.labour)
        self.parcel = self.ray.put(packed(self.labour.job, self.labour.build))
        self.actor = self.ray.remote(**self.options)(_Actor)

    def answers(self) -> Iterator[Answer]:
        while self.waiting or self.busy:
            self._hand_out()
            (ready, *_), _ = self.ray.wait(list(self.busy), num_returns=1)
            actor, chain = self.busy.pop(ready)
            try:
                kind, content = self.ray.get(ready)
            except self.ray.exceptions.RayActorError as error:
                self.deaths.count(chain, str(error).partition("\n")[0])
                self.waiting.appendleft(chain)
                continue
            self.idle.append(actor)
            answer = answer_of(chain, kind, content)
            self.deaths.forget(chain)
            yield answer
            if not answer.done:
                self.waiting.appendleft(chain)

    def _hand_out(self) -> None:
        while self.waiting and len(self.busy) < self.size:
            actor = self.idle.pop() if self.idle else self._start()
            chain = self.waiting.popleft()
            self.busy[actor.advance.remote(chain, self.labour.before(chain))] = (actor, chain)

    def _start(self) -> Any:
        return self.actor.remote(self.parcel, self.threads, sys.path, os.getcwd())

    def close(self) -> None:
        for actor in [*self.idle, *(actor for actor, _ in self.busy.values())]:
            self.ray.kill(actor)


class _Actor:
    """A worker of the cluster."""

    def __init__(self, parcel: Parcel, threads: int, path: list[str], folder: str) -> None:
        settle(threads, path, folder)
        self.worker = parcel.worker()

    def advance(self, chain: Chain, before: bytes | None) -> tuple[str, Any]:
        return attempt(self.worker, Chain(*chain), before, None)


def settle(threads: int, path: list[str], folder: str) -> None:
    """Let an actor find modules and files where the one who asks does, if they are there."""
    sys.path[:0] = [place for place in path if place not in sys.path]
    if os.path.isdir(folder):
        os.chdir(folder)
    torch.set_num_threads(threads)


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected; as it was before afterwards.

    Raises
    ------
    InvalidInput: it is not installed, or no cluster answers.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InvalidInput("Ray is not installed: pip install 'advplug[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    try:
        _reach(address)
        ray.init(address=address, include_dashboard=None if address else False)
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise InvalidInput(f"no Ray cluster answers at {address or 'this machine'} ({why})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Raise OSError if nothing listens at HOST:PORT or ray://HOST:PORT: Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
