"""Fields that check themselves: which values each type takes, and what a wrong one is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from torch import nn

from advplug.errors import InvalidInput
from advplug.hyperparameters import (
    Above,
    AtLeast,
    Count,
    Decay,
    Fraction,
    Natural,
    NonNegative,
    Positive,
    PositiveShare,
    Share,
    check_hyperparameters,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Knobs:
    count: Count = 1
    natural: Natural = 0
    levels: Annotated[int, AtLeast(2)] | None = None
    positive: Positive = 1.0
    unbounded: Annotated[float, Above(infinite=True)] = 1.0
    optional: Positive | None = None
    confidence: PositiveShare | Literal["clean"] = "clean"
    distance: NonNegative = 0.0
    share: Share = 0.5
    decay: Decay = 0.0
    fraction: Fraction = 0.5
    rule: Literal["sign", "raw"] | None = None
    flag: bool = True
    name: str = "x"
    network: nn.Module | None = None
    indices: tuple[int, ...] = ()
    anything: Any = None
    derived: float = field(default=-1.0, init=False)

    def __post_init__(self) -> None:
        check_hyperparameters(self)


@pytest.mark.parametrize(
    "values",
    [
        {}, {"count": np.int64(3)}, {"positive": 2}, {"positive": np.float32(0.1)}, {"levels": 2}, {"optional": 1},
        {"unbounded": math.inf}, {"confidence": 1.0}, {"share": 0}, {"share": 1}, {"rule": "raw"}, {"flag": False},
        {"network": nn.ReLU()}, {"indices": (1, 2)}, {"indices": [0]}, {"anything": (1, 2)},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_field_takes(values: dict[str, Any]) -> None:
    knobs = Knobs(**values)
    assert all(getattr(knobs, name) is value for name, value in values.items())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count is 0: give at least 1"),
        ({"count": 1.5}, "count is 1.5: give a whole number"),
        ({"count": True}, "count is True: give a whole number"),
        ({"count": "3"}, "count is '3': give a whole number"),
        ({"natural": -1}, "natural is -1: give at least 0"),
        ({"levels": 1}, "levels is 1: give at least 2, or None"),
        ({"positive": 0}, "positive is 0: give a positive number"),
        ({"positive": math.nan}, "positive is nan: give a positive number"),
        ({"positive": math.inf}, "positive is inf: give a positive number"),
        ({"unbounded": 0.0}, "unbounded is 0.0: give a positive number (inf included)"),
        ({"optional": -1}, "optional is -1: give a positive number, or None"),
        ({"confidence": 2}, "confidence is 2: give a number in (0, 1], or clean"),
        ({"distance": -0.1}, "distance is -0.1: give at least 0"),
        ({"share": 1.1}, "share is 1.1: give a number in [0, 1]"),
        ({"decay": 1.0}, "decay is 1.0: give a number in [0, 1)"),
        ({"fraction": 0.0}, "fraction is 0.0: give a number in (0, 1)"),
        ({"rule": "sing"}, "rule is 'sing': choose one of sign, raw, or None"),
        ({"flag": 1}, "flag is 1: give True or False"),
        ({"name": 3}, "name is 3: give a text"),
        ({"network": "resnet"}, "network is 'resnet': give a Module, or None"),
        ({"indices": 3}, "indices is 3: give a tuple"),
        ({"indices": (0, 1.5)}, "indices is (0, 1.5): for each item, give a whole number"),
    ],
    ids=str,
)
def test_what_a_wrong_value_is_told(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Knobs(**values)
    assert str(error.value) == message


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    @dataclass(frozen=True)
    class Hidden:
        network: Unknown = None  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"the fields of Hidden cannot be checked .*Unknown.*import their types"):
        check_hyperparameters(Hidden())
