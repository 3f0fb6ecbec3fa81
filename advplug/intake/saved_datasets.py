"""Datasets of Hugging Face: a folder made by ``save_to_disk``, or the object itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.intake.archives import readable
from advplug.intake.arrays import Labelled, labels_in
from advplug.intake.sources import Indexed, Source
from advplug.intake.torch_datasets import together

SPLITS = ("test", "validation", "valid", "val", "train")
"""Which split of several is taken, the first that is there."""

INPUTS = ("image", "img", "pixel_values", "images", "x", "inputs")
LABELS = ("label", "labels", "target", "y", "fine_label", "class")
"""Column names, where the types do not say which one it is."""


def is_saved(folder: Path) -> bool:
    """Whether ``folder`` was made by ``save_to_disk``: of a dataset, or of several splits."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def open_saved(folder: Path, dtype: torch.dtype) -> Source:
    """The samples of a folder made by ``save_to_disk``; of several splits, that of :data:`SPLITS` comes first.

    Raises
    ------
    InvalidInput: the library is not installed, the folder is damaged, or it has no image and label.
    """
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise InvalidInput(
            f"{folder} holds a dataset of Hugging Face: install the library, pip install 'advplug[hf]'"
        ) from error
    with readable(f"{folder}: damaged, or of another version of datasets"):
        found = load_from_disk(str(folder))
    if isinstance(found, dict):
        split = next((split for split in SPLITS if split in found), None)
        if split is None:
            raise InvalidInput(f"{folder} has the splits {', '.join(found)}: name the folder of one, {folder}/SPLIT")
        found = found[split]
    return open_columns(str(folder), found, dtype)


def is_dataset(thing: Any) -> bool:
    """Whether ``thing`` is a dataset of Hugging Face with places, or a look-alike."""
    return all(hasattr(thing, name) for name in ("features", "column_names", "select_columns", "__getitem__"))


def open_columns(name: str, dataset: Any, dtype: torch.dtype) -> Source:
    """The samples of a dataset; only the images that are drawn are decoded.

    The types of the columns say which hold images and labels; the names where there are none, or several.

    Raises
    ------
    InvalidInput: no such columns, or several.
    """
    features = dict(dataset.features)
    image = _column(name, features, "Image", INPUTS, "images or inputs")
    label = _column(name, features, "ClassLabel", LABELS, "labels")
    class_names = tuple(getattr(features[label], "names", None) or ())
    labels = np.asarray(dataset.with_format(None).select_columns([label])[:][label])
    samples = dataset.with_format(None if _kind(features[image]) == "Image" else "numpy")

    def items(places: Tensor) -> Iterator[tuple[int, tuple[Any, Any]]]:
        for place in places.tolist():
            sample = samples[place]
            yield place, (sample[image], sample[label])

    def read(places: Tensor) -> Labelled:
        found = together(name, items(places), dtype)
        return found._replace(class_names=class_names, name=Path(name).stem)

    return Indexed(torch.from_numpy(labels_in(name, labels)), read)


def _column(name: str, features: dict[str, Any], kind: str, names: tuple[str, ...], what: str) -> str:
    """The one column of that kind of feature; else the first of ``names`` that is there."""
    typed = [column for column, feature in features.items() if _kind(feature) == kind]
    if len(typed) == 1:
        return typed[0]
    named = [column for column in names if column in (typed or features)]
    if not named or len(typed) > 1:
        listed = ", ".join(f"{column} ({_kind(feature)})" for column, feature in features.items())
        found = f"several columns of {what}" if typed else f"no column of {what}"
        remedy = "remove all but one of them (remove_columns)" if typed else f"call it {names[0]} (rename_column)"
        raise InvalidInput(f"{name}: {found} among {listed}: {remedy}")
    return named[0]


def _kind(feature: Any) -> str:
    return type(feature).__name__
