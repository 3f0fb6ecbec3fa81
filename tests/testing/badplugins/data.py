"""Data sets: a sound one, and for every check one that fails it. ``BAD`` has them by the name of the check."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import ClassVar

import torch

from advplug.data import Dataset, Images
from advplug.data_files import check_request
from advplug.errors import DataUnavailable


class Good(Dataset):
    """Forty random images of 4 x 4 pixels whose brightness is their class."""

    splits: ClassVar[tuple[str, ...]] = ("test", "train")
    class_names: ClassVar[tuple[str, ...]] = ("dark", "bright")
    shape: ClassVar[tuple[int, int, int] | None] = (1, 4, 4)

    def load(self, split: str, limit: int | None = None) -> Images:
        check_request(self.splits, split, limit)
        generator = torch.Generator().manual_seed(self.splits.index(split))
        labels = torch.arange(40) % 2
        inputs = 0.5 * torch.rand(40, 1, 4, 4, generator=generator) + 0.5 * labels.view(-1, 1, 1, 1)
        return Images(inputs, labels, self.class_names, f"squares-{split}")[:limit]


class NamesClassesTwice(Good):
    class_names = ("dark", "dark")


class ShipsTheSecondSplit(Good):
    def load(self, split: str, limit: int | None = None) -> Images:
        if split == "test":
            raise DataUnavailable("no test.npz: put your own into the folder of the data")
        return super().load(split, limit)


class GivesBytes(Good):
    def load(self, split: str, limit: int | None = None) -> Images:
        images = super().load(split, limit)
        return replace(images, inputs=255 * images.inputs)


class GivesShortLabels(Good):
    def load(self, split: str, limit: int | None = None) -> Images:
        images = super().load(split, limit)
        return replace(images, labels=images.labels.int())


class DeclaresColour(Good):
    shape = (3, 4, 4)


class TakesTheLast(Good):
    def load(self, split: str, limit: int | None = None) -> Images:
        return super().load(split)[-(limit or 0) :]


_LOADS = count()


class DrawsLabels(Good):
    def load(self, split: str, limit: int | None = None) -> Images:
        images = super().load(split, limit)
        return replace(images, labels=(images.labels + next(_LOADS)) % 2)


class LooksUpSplits(Good):
    def load(self, split: str, limit: int | None = None) -> Images:
        if split not in self.splits:
            raise KeyError(split)
        return super().load(split, limit)


class FailsWithoutAWord(Good):
    def load(self, split: str, limit: int | None = None) -> Images:
        if split == "train":
            raise FileNotFoundError("train.npz")
        return super().load(split, limit)


BAD = {
    "declares_splits_and_classes": NamesClassesTwice,
    "ships_what_it_says": ShipsTheSecondSplit,
    "images_are_float_in_unit_range": GivesBytes,
    "labels_are_classes": GivesShortLabels,
    "shape_is_true": DeclaresColour,
    "limit_is_honoured": TakesTheLast,
    "loads_the_same_again": DrawsLabels,
    "refuses_unknown_splits": LooksUpSplits,
    "absent_data_is_named": FailsWithoutAWord,
}
TAGS = {name: {"shipped"} for name in BAD}
