"""Labelled samples from which some are drawn, before the others are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from advplug.intake.arrays import Labelled
from advplug.intake.drawing import drawn_order


class Drawn(NamedTuple):
    """Samples, where each stands in the data, int64 (n,), and how many there are in all."""

    samples: Labelled
    places: Tensor
    total: int


class Source(ABC):
    """Labelled samples in some form."""

    @abstractmethod
    def drawn(self, limit: int | None, seed: int = 0, wanted: int | None = None) -> Drawn:
        """``limit`` samples; all of them for None. ``wanted`` are so many, of which the first ``limit`` are these.

        They are drawn evenly across the classes; of a stream they are the first ones.
        """


@dataclass(frozen=True)
class Indexed(Source):
    """Samples that can be read one by one: ``labels`` int64 (N,), and ``read``, those at places int64 (n,)."""

    labels: Tensor
    read: Callable[[Tensor], Labelled]

    def drawn(self, limit: int | None, seed: int = 0, wanted: int | None = None) -> Drawn:
        total = len(self.labels)
        places = torch.arange(total)
        if limit is not None and limit < total:
            places = drawn_order(self.labels, limit, seed)[: limit if wanted is None else wanted]
        return Drawn(self.read(places), places, total)


@dataclass(frozen=True)
class Stream(Source):
    """Samples that come in an order of their own: ``read`` gives the first so many, all of them for None."""

    read: Callable[[int | None, int], Labelled]

    def drawn(self, limit: int | None, seed: int = 0, wanted: int | None = None) -> Drawn:
        samples = self.read(limit if wanted is None else wanted, seed)
        return Drawn(samples, torch.arange(len(samples.labels)), len(samples.labels))


def held(whole: Labelled) -> Indexed:
    """Samples that are in memory, all of them."""
    return Indexed(whole.labels, whole.at)
