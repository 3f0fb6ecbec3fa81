"""MNIST as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DatasetSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_data_mnist._dataset import MNIST

__all__ = ["MNIST", "advplug_datasets"]

__getattr__ = lazily(__name__, {"MNIST": "._dataset"})


@hookimpl
def advplug_datasets() -> list[DatasetSpec]:
    """Name the data set; torch is imported when it is loaded."""
    return [
        DatasetSpec(
            name="mnist",
            factory="advplug_data_mnist._dataset:MNIST",
            summary="Handwritten digits, 28x28 grey; 10,000 ship, the standard sets are fetched",
            reference="LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998",
            tags=frozenset({"images", "grey", "shipped"}),
        )
    ]
