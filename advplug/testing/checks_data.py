"""Checks of a data plugin: what it declares, what it loads, what it refuses."""

from __future__ import annotations

from typing import Any

import torch

from advplug.data import Dataset, Images
from advplug.errors import DataUnavailable, InvalidInput
from advplug.testing.offline import offline, some_images
from advplug.testing.subject import NotApplicable, Subject, require
from advplug.transcription import packed, unpacked


def check_declares_splits_and_classes(subject: Subject) -> None:
    """``splits`` and ``class_names`` are tuples of different names, at least one split and two classes."""
    for name, least in (("splits", 1), ("class_names", 2)):
        names: Any = getattr(subject.factory, name, None)
        fine = isinstance(names, tuple) and all(isinstance(item, str) and item for item in names)
        require(fine, f"{name} is {names!r}: give a tuple of names")
        require(len(set(names)) == len(names) >= least, f"{name} is {names!r}: give at least {least}, all different")


def check_ships_what_it_says(subject: Subject) -> None:
    """If it is tagged ``shipped``, its first split loads with an empty data folder and no network."""
    if "shipped" not in subject.spec.tags:
        raise NotApplicable("not tagged shipped")
    with offline(empty=True):
        dataset = _dataset(subject)
        try:
            count = len(dataset.load(dataset.splits[0], 4))
        except DataUnavailable as error:
            message = f"the split {dataset.splits[0]} does not ship ({error}): put the shipped split first"
            raise AssertionError(message) from error
    require(count == 4, f"the shipped split gives {count} images of 4")


def check_images_are_float_in_unit_range(subject: Subject) -> None:
    """Images are finite float32 (N, C, H, W) with values in [0, 1]; sound is (N, T) with values in [-1, 1]."""
    images = _images(subject)
    inputs, sound = images.inputs, images.sample_rate is not None
    what, form, least = ("sounds", "(N, T)", -1) if sound else ("images", "(N, C, H, W)", 0)
    require(inputs.dtype == torch.float32, f"{what} are {inputs.dtype}: convert them to float32")
    require(inputs.ndim == form.count(",") + 1, f"{what} have shape {tuple(inputs.shape)}: give {form}")
    low, high = float(inputs.min()), float(inputs.max())
    fine = low >= least and high <= 1  # NaN fails too
    require(fine, f"values span [{low:.4g}, {high:.4g}]: scale them to [{least}, 1]")


def check_labels_are_classes(subject: Subject) -> None:
    """Labels are int64 (N,), each the index of a class name, or the number of a sequence of classes."""
    images = _images(subject)
    labels = images.labels
    require(labels.dtype == torch.int64, f"labels are {labels.dtype}: convert them to int64")
    require(labels.shape == images.inputs.shape[:1], f"labels have shape {tuple(labels.shape)}: give one per image")
    low, high, count = int(labels.min()), int(labels.max()), len(images.class_names)
    if images.transcribed:
        again = packed(unpacked(labels, count), count) if low >= 0 else -labels
        require(torch.equal(again, labels), "a label is the number of no sequence: make it with transcription.packed")
    else:
        require(low >= 0 and high < count, f"labels span {low} to {high}, but class_names has {count}")
    require(images.class_names == subject.factory.class_names, "the images have other class_names than the data set")


def check_shape_is_true(subject: Subject) -> None:
    """If it declares the ``shape`` of its images, they have it."""
    shape = subject.factory.shape
    if shape is None:
        raise NotApplicable("declares no shape")
    found = tuple(_images(subject).inputs.shape[1:])
    require(found == tuple(shape), f"images have shape {found}, declared is {shape}")


def check_limit_is_honoured(subject: Subject) -> None:
    """``limit`` gives that many images, the first ones."""
    dataset = _dataset(subject)
    split, many = some_images(dataset, 5)
    few = dataset.load(split, 2)
    require(len(few) == 2 and len(many) == 5, f"limits 2 and 5 give {len(few)} and {len(many)} images")
    require(torch.equal(few.inputs, many.inputs[:2]), "another limit gives other images: take the first ones")
    require(len(few.labels) == 2, f"limit 2 gives {len(few.labels)} labels")


def check_loads_the_same_again(subject: Subject) -> None:
    """The same call gives the same images and labels."""
    split, first = some_images(_dataset(subject), 5)
    second = _dataset(subject).load(split, 5)
    same = torch.equal(first.inputs, second.inputs) and torch.equal(first.labels, second.labels)
    require(same, "a second call gives other images: shuffle with a fixed seed or not at all")


def check_refuses_unknown_splits(subject: Subject) -> None:
    """An unknown split raises InvalidInput."""
    try:
        _dataset(subject).load("no-such-split", 1)
    except InvalidInput:
        return
    except Exception as error:
        raise AssertionError(f"an unknown split raises {error!r}: use advplug.data_files.check_request") from error
    raise AssertionError("an unknown split gives images: use advplug.data_files.check_request")


def check_absent_data_is_named(subject: Subject) -> None:
    """Without files and network a split loads or raises DataUnavailable, whose message says what to do."""
    with offline(empty=True):
        dataset = _dataset(subject)
        for split in dataset.splits:
            try:
                dataset.load(split, 1)
            except DataUnavailable as error:
                require(len(str(error).split()) >= 5, f"split {split}: say in the message where to put which files")
            except Exception as error:
                raise AssertionError(f"split {split} raises {error!r}: use advplug.data_files.fetch") from error


def _dataset(subject: Subject) -> Dataset:
    dataset: Dataset = subject.new()
    return dataset


def _images(subject: Subject) -> Images:
    return some_images(_dataset(subject), 50)[1]
