"""What a search tries of an attack's parameters, read from their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from advplug.attack import Attack, Task
from advplug.errors import InvalidInput
from advplug.hyperparameters import Count, Decay, Interval, NonNegative, Positive, PositiveShare
from advplug.plugins.manager import default_manager
from advplug.search_space import Choices, Range


@dataclass(frozen=True, kw_only=True)
class Everything(Attack):
    """One field of every kind."""

    steps: Count = 10
    size: Positive = 0.1
    share: PositiveShare = 0.5
    decay: Decay = 0.5
    narrow: Annotated[float, Interval(0.3, 0.6)] = 0.5
    automatic: Positive | None = None
    nothing: NonNegative = 0.0
    start: bool = True
    rule: Literal["sign", "raw"] = "raw"
    perhaps: Literal["a"] | None = None
    text: str = "x"

    def run(self, task: Task) -> None:
        task.evaluate(task.inputs)


def test_the_space_follows_from_the_types_of_the_fields() -> None:
    assert Everything.search_space() == {
        "size": Range(0.025, 0.4),
        "share": Range(0.125, 1.0),
        "decay": Range(0.125, 0.75),
        "narrow": Range(0.3, 0.6),
        "start": Choices((True, False)),
        "rule": Choices(("sign", "raw")),
        "perhaps": Choices((None, "a")),
    }


def test_an_attack_without_fields_has_no_parameters_to_try() -> None:
    class Plain(Attack):
        def run(self, task: Task) -> None:
            task.evaluate(task.inputs)

    assert Plain.search_space() == {}


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (2.0, 1.0), (1.0, float("inf"))])
def test_a_range_that_has_no_logarithm_is_refused(low: float, high: float) -> None:
    with pytest.raises(InvalidInput, match="give finite numbers above zero"):
        Range(low, high)


def test_choices_need_a_value() -> None:
    with pytest.raises(InvalidInput, match="give at least one"):
        Choices(())


def _ends(space: Mapping[str, Choices | Range]) -> list[dict[str, Any]]:
    """Settings at each end of everything that is tried."""
    found = []
    for name, part in space.items():
        values = part.values if isinstance(part, Choices) else (part.low, part.high)
        found += [{name: value} for value in values]
    return found


ATTACKS = [spec.name for spec in default_manager().specs("attack") if not spec.bridged]


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_takes_both_ends_of_its_space(name: str) -> None:
    attack = default_manager().load(f"attack:{name}")
    space = attack.search_space()
    for settings in _ends(space or {}):
        attack(**settings)  # which refuses what it does not take
