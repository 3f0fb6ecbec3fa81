"""CIFAR-10 as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DatasetSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_data_cifar10._dataset import CIFAR10

__all__ = ["CIFAR10", "advplug_datasets"]

__getattr__ = lazily(__name__, {"CIFAR10": "._dataset"})


@hookimpl
def advplug_datasets() -> list[DatasetSpec]:
    """Name the data set; torch is imported when it is loaded."""
    return [
        DatasetSpec(
            name="cifar10",
            factory="advplug_data_cifar10._dataset:CIFAR10",
            summary="Colour images of ten classes, 32x32; downloaded, or read from the user's own files",
            reference="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, 2009",
            tags=frozenset({"images", "colour"}),
        )
    ]
