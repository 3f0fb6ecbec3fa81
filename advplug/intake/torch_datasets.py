"""Samples of torch's ``Dataset`` and ``DataLoader``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
)

from advplug.errors import InvalidInput
from advplug.intake.arrays import PAIRS, Array, Labelled, as_array, labelled, labels_in
from advplug.intake.code import said
from advplug.intake.pictures import bytes_of, stacked
from advplug.intake.sources import Indexed, Source, Stream, held

ITEM_PAIRS = (*PAIRS, ("image", "label"), ("img", "label"), ("pixel_values", "labels"))
"""Names under which a sample or a batch holds input and label."""

Item = tuple[Any, Any]


def open_dataset(name: str, dataset: Dataset[Any], dtype: torch.dtype) -> Source:
    """The samples of a dataset, one by one; those of an iterable one as a stream.

    Where its labels can be told without its samples, only those are read that are drawn.

    Raises
    ------
    InvalidInput: it has no length, a sample is no pair of input and label, or the samples have different shapes.
    """
    if isinstance(dataset, IterableDataset):
        return Stream(lambda limit, seed: _first(name, _items(name, dataset), limit, seed, dtype))
    size = _length(name, dataset)

    def read(places: Tensor) -> Labelled:
        samples = (dataset[place] for place in places.tolist())
        return together(name, zip(places.tolist(), _items(name, samples), strict=True), dtype)

    labels = known_labels(dataset, size)
    return held(read(torch.arange(size))) if labels is None else Indexed(torch.from_numpy(labels), read)


def open_loader(name: str, loader: DataLoader[Any], dtype: torch.dtype) -> Source:
    """The samples of a loader: those of its dataset in order, collated by the loader, whether it shuffles or not.

    A loader with a sampler of another kind, or of an iterable dataset, gives its first samples as they come.
    """
    dataset, collate = loader.dataset, loader.collate_fn
    if isinstance(dataset, IterableDataset) or not _takes_all(loader):
        return Stream(lambda limit, seed: _first(name, _unbatched(name, loader), limit, seed, dtype))
    size = _length(name, dataset)
    if loader.batch_size is None:
        return open_dataset(name, dataset, dtype)

    def read(places: Tensor) -> Labelled:
        parts = places.split(loader.batch_size or 1)
        batches = (collate([dataset[place] for place in part.tolist()]) for part in parts)
        return together(name, enumerate(_unbatched(name, batches)), dtype)

    labels = known_labels(dataset, size)
    return held(read(torch.arange(size))) if labels is None else Indexed(torch.from_numpy(labels), read)


def known_labels(dataset: Any, size: int) -> Array | None:
    """The labels of ``dataset``, int64 (``size``,), as far as it tells them without its samples; None if it does not.

    They say only which samples are drawn: the labels that count come with the samples.
    """
    if isinstance(dataset, Subset):
        inner = known_labels(dataset.dataset, len(dataset.dataset))  # type: ignore[arg-type]
        return None if inner is None else inner[np.asarray(dataset.indices, dtype=np.int64)]
    if isinstance(dataset, ConcatDataset):
        parts = [known_labels(part, len(part)) for part in dataset.datasets]  # type: ignore[arg-type]
        return None if any(part is None for part in parts) else np.concatenate(parts)  # type: ignore[arg-type]
    if isinstance(dataset, TensorDataset):
        found: Any = dataset.tensors[1] if len(dataset.tensors) == 2 else None
    else:
        found = _attribute(dataset, "targets", "labels")
    if found is None or isinstance(found, str | Mapping) or not isinstance(found, Sequence | Tensor | np.ndarray):
        return None
    try:
        labels = labels_in("labels", as_array("labels", "y", found))
    except InvalidInput:  # an attribute of that name that holds something else
        return None
    return labels if labels.shape == (size,) else None


def _attribute(dataset: Any, *names: str) -> Any:
    """The first of ``names`` that is there; None if there is none, or reading it fails."""
    for name in names:
        try:
            return getattr(dataset, name)
        except Exception:  # a property may read a file that is not there
            continue
    return None


def together(name: str, items: Iterable[tuple[int, Item]], dtype: torch.dtype) -> Labelled:
    """Samples, each with its place for messages, as arrays.

    Raises
    ------
    InvalidInput: there are none, or their shapes differ.
    """
    inputs, labels, pictures = [], [], []
    for place, (x, y) in items:
        if hasattr(x, "getbands"):
            pictures.append((f"{name}[{place}]", bytes_of(f"{name}[{place}]", x)))
        else:
            inputs.append(as_array(name, "x", x))
            if inputs[-1].shape != inputs[0].shape:
                raise InvalidInput(
                    f"{name}[{place}] has shape {inputs[-1].shape}, the first sample has {inputs[0].shape}: resize them"
                )
        labels.append(as_array(name, "y", y))
    if not labels:
        raise InvalidInput(f"{name}: it has no samples")
    if pictures and inputs:
        raise InvalidInput(f"{name}: some samples are images and some are arrays: give one kind")
    x = stacked(pictures) if pictures else np.stack(inputs)
    if any(label.shape != labels[0].shape for label in labels):
        raise InvalidInput(f"{name}: the labels have different shapes: give one class number for each sample")
    return labelled(name, x, np.stack(labels), dtype=dtype)


def _first(name: str, items: Iterable[Item], limit: int | None, seed: int, dtype: torch.dtype) -> Labelled:
    """The first ``limit`` of ``items``; what shuffles does so by ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return together(name, enumerate(itertools.islice(items, limit)), dtype)


def _takes_all(loader: DataLoader[Any]) -> bool:
    """Whether each sample of the dataset comes once, in order or shuffled, and no batch is made by other rules."""
    sampler, batches = loader.sampler, loader.batch_sampler
    once = isinstance(sampler, RandomSampler) and not sampler.replacement and len(sampler) == len(loader.dataset)  # type: ignore[arg-type]
    return (once or type(sampler) is SequentialSampler) and (batches is None or type(batches) is BatchSampler)


def _unbatched(name: str, batches: Iterable[Any]) -> Iterator[Item]:
    """The samples of batches of a loader."""
    for x, y in _items(name, batches):
        if len(x) != len(y):
            raise InvalidInput(f"{name}: a batch has {len(x)} inputs and {len(y)} labels: give one label each")
        yield from zip(x, y, strict=True)


def _items(name: str, parts: Iterable[Any]) -> Iterator[Item]:
    """Input and label of each of ``parts``, which the user's code makes.

    Raises
    ------
    InvalidInput: it fails; the message says at which one.
    """
    iterator = iter(parts)
    for number in itertools.count():
        try:
            part = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            raise InvalidInput(f"{name}: reading sample or batch {number} failed: {said(error)}") from error
        yield _item(name, part)


def _item(name: str, item: Any) -> Item:
    """Input and label of a sample or a batch: the first two of a tuple or list, or a pair of a mapping."""
    if isinstance(item, Mapping):
        for x, y in ITEM_PAIRS:
            if x in item and y in item:
                return item[x], item[y]
        wanted = ", ".join(f"{x} and {y}" for x, y in ITEM_PAIRS)
        raise InvalidInput(f"{name}: a sample has {', '.join(map(str, item))}: name them as one pair of {wanted}")
    if isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], item[1]
    raise InvalidInput(f"{name}: a sample is a {type(item).__name__}: give input and label as a tuple (x, y)")


def _length(name: str, dataset: Any) -> int:
    try:
        return len(dataset)
    except (TypeError, NotImplementedError) as error:
        raise InvalidInput(f"{name}: the dataset has no length: give it __len__, or make it iterable") from error
