"""One chain after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator
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
        worker, before = Worker(labour.job), torch.get_num_threads()
        torch.set_num_threads(self.threads or before)
        try:
            for chain in labour.chains:
                yield from _stages(worker, chain, labour)
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
