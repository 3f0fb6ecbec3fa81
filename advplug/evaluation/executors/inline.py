"""One chain after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from advplug.errors import NoGradient
from advplug.evaluation.chain import Chain
from advplug.evaluation.executors.base import Answer, Executor, Labour
from advplug.evaluation.worker import Worker


@dataclass(frozen=True)
class Inline(Executor):
    """Works here, on one chain at a time, with so many ``threads`` of torch; as many as it has if None."""

    threads: int | None = None

    def run(self, labour: Labour) -> Iterator[Answer]:
        with self.own_threads():
            worker = Worker(labour.job)
            for chain in labour.chains:
                yield from _stages(worker, chain, labour)

    @contextmanager
    def own_threads(self) -> Iterator[None]:
        """Inside the block torch has ``threads``, afterwards as many as before."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _stages(worker: Worker, chain: Chain, labour: Labour) -> Iterator[Answer]:
    def progress(done: int, total: int, alive: int) -> None:
        labour.heard(chain, done, total, alive)

    done = False
    while not done:
        try:
            piece = worker.advance(chain, labour.before(chain), progress)
        except NoGradient as error:
            yield Answer(chain, b"", True, error)
            return
        done = piece.done
        yield Answer(chain, piece.to_bytes(), done)
