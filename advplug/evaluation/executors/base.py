"""What an executor is asked, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from advplug.errors import AdvplugError, NoGradient
from advplug.evaluation.chain import Chain
from advplug.records.job import Job

Heard = Callable[[Chain, int, int, int], None]
"""Called as ``heard(chain, steps done, steps planned, samples still standing)``."""


class WorkerLost(AdvplugError):
    """Workers died, one after the other, over the same stage of the same chain."""


class Answer(NamedTuple):
    """A chain after one stage more.

    ``content`` is its piece (``Piece.from_bytes``), ``done`` whether it was the last stage; ``error`` instead of both
    where the attack needs a gradient that the model does not give.
    """

    chain: Chain
    content: bytes
    done: bool
    error: NoGradient | None = None


@dataclass(frozen=True, kw_only=True)
class Labour:
    """What is to be done.

    Parameters
    ----------
    job: the job, in this process.
    build: makes the same job in another process, where it is called once; it must be picklable by cloudpickle.
    chains: what is to be worked on, in the order of the rows.
    before: the content of the piece that a chain has so far, None for none. Called again after each answer was taken.
    heard: hears of the progress.
    """

    job: Job
    build: Callable[[], Job]
    chains: Sequence[Chain]
    before: Callable[[Chain], bytes | None]
    heard: Heard


@dataclass(frozen=True)
class Given:
    """Sends a job as it is, where nothing can make it again."""

    job: Job

    def __call__(self) -> Job:
        return self.job


class Executor(ABC):
    """Works on chains, somewhere."""

    @abstractmethod
    def run(self, labour: Labour) -> Iterator[Answer]:
        """Every stage of every chain; stages of one chain come in order, and each is asked for its ``before`` first.

        Raises
        ------
        WorkerLost: workers die over the same work.
        AdvplugError: what the work raised, but for NoGradient, which is an answer.
        """
