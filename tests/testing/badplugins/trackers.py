"""Trackers: a sound one, and for every check one that fails it. ``BAD`` has them by the name of the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from advplug.tracking import Step, Tracker


class Good(Tracker):
    """Writes the medians of every step as text."""

    def __init__(self, target: str = "steps.txt") -> None:
        self.path = Path(target)

    def step(self, step: Step) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{step.attack} {step.number} {step.summary()}\n")


class WritesAtOnce(Good):
    """In an empty folder, as the check makes one: other checks construct it wherever the tests run."""

    def __init__(self, target: str = "steps.txt") -> None:
        super().__init__(target)
        if not any(Path().iterdir()):
            self.path.write_text("", encoding="utf-8")


class WantsGradients(Good):
    def step(self, step: Step) -> None:
        super().step(step)
        self.largest = step.gradient_norm.max()  # type: ignore[union-attr]


TAGS: dict[str, set[str]] = {}
BAD: dict[str, Any] = {
    "writes_nothing_before_it_is_opened": WritesAtOnce,
    "takes_what_an_attack_tells": WantsGradients,
}
