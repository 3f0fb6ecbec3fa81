"""Labelled images, and the interface of a data plugin."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from advplug.errors import InvalidInput


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
    transcribed: the labels are sequences of the classes, as numbers: see :mod:`advplug.transcription`.
    sample_rate: values per second where the inputs are sound, (N, T) in [-1, 1]; None for anything else.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    class_names: tuple[str, ...] = ()
    name: str = "images"
    pixels: bool = True
    transcribed: bool = False
    sample_rate: int | None = None

    @classmethod
    def of(
        cls,
        data: Any,
        labels: Any = None,
        *,
        limit: int | None = None,
        seed: int = 0,
        class_names: Sequence[str] = (),
        name: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Images:
        """Labelled images from what a program has.

        Bytes and images of PIL become pixels; floating-point inputs are taken as they are, in ``dtype``.

        Parameters
        ----------
        data: inputs (tensor, NumPy array or list) beside ``labels``; a pair of both, or a mapping with ``x`` and ``y``
            (or inputs and labels, images and labels, x_test and y_test); a ``torch.utils.data`` Dataset or DataLoader;
            or a dataset of Hugging Face.
        labels: class numbers (N,), or one-hot (N, K).
        limit: how many samples to draw evenly across the classes; None for all. Of an iterable dataset, and of a loader
            with a sampler of its own, the first ones. The others are not read where the dataset tells its labels
            (``targets``, ``labels``, tensors, subsets).
        seed: of the draw.
        class_names: of all classes; those that the data brings unless given.
        name: of the set.

        Raises
        ------
        InvalidInput: data of another form, NaN, different lengths, or labels that are no classes.
        """
        from advplug.intake.arrays import check_names
        from advplug.intake.given import open_given

        if isinstance(data, str | os.PathLike):
            raise InvalidInput(f"{data} names a file: read it with advplug.intake.read_images(Path(...))")
        source = open_given(name or "data", data if labels is None else (data, labels), dtype=dtype)
        found = cls(*source.drawn(limit, seed).samples)
        names = tuple(class_names) or found.class_names
        check_names(name or "data", found.labels, names)
        return replace(found, class_names=names, name=name or found.name)

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def __getitem__(self, index: slice | torch.Tensor) -> Images:
        """The chosen images, in that order."""
        return replace(self, inputs=self.inputs[index], labels=self.labels[index])

    def to(self, device: torch.device | str) -> Images:
        """The same images on ``device``."""
        return replace(self, inputs=self.inputs.to(device), labels=self.labels.to(device))

    def missing_classes(self, num_classes: int = 0) -> tuple[int, ...]:
        """The classes that have no image: of the named ones and, if that is more, of ``num_classes``; ascending.

        None of sequences, of which nobody has all.
        """
        if self.transcribed:
            return ()
        present = set(self.labels.tolist())
        return tuple(label for label in range(max(num_classes, len(self.class_names))) if label not in present)

    def batches(
        self, size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs (inputs, labels) of at most ``size`` images, shuffled if a generator is given."""
        for rows in self.rows(size, generator):
            yield self.inputs[rows], self.labels[rows]

    def rows(self, size: int, generator: torch.Generator | None = None) -> Iterator[torch.Tensor]:
        """The places of the images of each of :meth:`batches`, int64 (n,)."""
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        yield from order.split(size)


class Dataset(ABC):
    """A data plugin. ``splits`` names what :meth:`load` takes, the shipped one (if any) first.

    ``shape``, (C, H, W) of images, is that of every input, for those who need it where the files are not; None if it is
    not fixed.
    """

    splits: ClassVar[tuple[str, ...]]
    class_names: ClassVar[tuple[str, ...]]
    shape: ClassVar[tuple[int, ...] | None] = None

    @abstractmethod
    def load(self, split: str, limit: int | None = None) -> Images:
        """The first ``limit`` images of ``split``, always in the same order.

        Raises
        ------
        InvalidInput: unknown split.
        DataUnavailable: the files are not there and cannot be fetched; the message says where to put them.
        """
