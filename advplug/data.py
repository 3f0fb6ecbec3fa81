"""Labelled images, and the interface of a data plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch


@dataclass(frozen=True)
class Images:
    """A labelled set of images, or of other inputs.

    Parameters
    ----------
    inputs: of images float32 (N, C, H, W) with values in [0, 1]; of anything else float32 or float64 (N, ...).
    labels: int64 (N,).
    class_names: of all classes, also of those without an image; empty if they have no names.
    name: of the set.
    pixels: values in [0, 1], which are rescaled to the range that a model takes; False for inputs in that range.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    class_names: tuple[str, ...] = ()
    name: str = "images"
    pixels: bool = True

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def __getitem__(self, index: slice | torch.Tensor) -> Images:
        """The chosen images, in that order."""
        return replace(self, inputs=self.inputs[index], labels=self.labels[index])

    def to(self, device: torch.device | str) -> Images:
        """The same images on ``device``."""
        return replace(self, inputs=self.inputs.to(device), labels=self.labels.to(device))

    def missing_classes(self, num_classes: int = 0) -> tuple[int, ...]:
        """The classes that have no image: of the named ones and, if that is more, of ``num_classes``; ascending."""
        present = set(self.labels.tolist())
        return tuple(label for label in range(max(num_classes, len(self.class_names))) if label not in present)

    def batches(
        self, size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs (inputs, labels) of at most ``size`` images, shuffled if a generator is given."""
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        for rows in order.split(size):
            yield self.inputs[rows], self.labels[rows]


class Dataset(ABC):
    """A data plugin. ``splits`` names what :meth:`load` takes, the shipped one (if any) first.

    ``shape`` (C, H, W) is that of every image, for those who need it where the files are not; None if it is not fixed.
    """

    splits: ClassVar[tuple[str, ...]]
    class_names: ClassVar[tuple[str, ...]]
    shape: ClassVar[tuple[int, int, int] | None] = None

    @abstractmethod
    def load(self, split: str, limit: int | None = None) -> Images:
        """The first ``limit`` images of ``split``, always in the same order.

        Raises
        ------
        InvalidInput: unknown split.
        DataUnavailable: the files are not there and cannot be fetched; the message says where to put them.
        """
