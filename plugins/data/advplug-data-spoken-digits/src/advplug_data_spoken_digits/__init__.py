"""Phrases of spoken digits as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import DatasetSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_data_spoken_digits._dataset import SpokenDigits

__all__ = ["SpokenDigits", "advplug_datasets"]

__getattr__ = lazily(__name__, {"SpokenDigits": "._dataset"})


@hookimpl
def advplug_datasets() -> list[DatasetSpec]:
    """Name the data set; torch is imported when it is loaded."""
    return [
        DatasetSpec(
            name="spoken-digits",
            factory="advplug_data_spoken_digits._dataset:SpokenDigits",
            summary="Phrases of four spoken digits, 2 s at 8 kHz; 200 ship, the others are made of the full collection",
            reference="Jackson et al., Free Spoken Digit Dataset",
            tags=frozenset({"sound", "sequences", "shipped"}),
        )
    ]
