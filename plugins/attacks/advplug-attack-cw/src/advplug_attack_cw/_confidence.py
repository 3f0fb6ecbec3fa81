"""What the three attacks of the paper share: the loss f6, and the confidence that a point must have to count."""

from __future__ import annotations

from advplug.attack import Attack
from advplug.criteria import Confident, Criterion
from advplug.errors import InvalidInput
from advplug.losses import Loss, Margin


class WithConfidence(Attack):
    """An attack whose adversarials have a logit of the wrong class at least ``confidence`` above the others."""

    confidence: float

    @property
    def default_loss(self) -> Loss:
        """f6 of the paper."""
        return Margin(self.confidence)

    @property
    def condition(self) -> Criterion | None:
        """What a point must meet beyond the goal to count: the confidence."""
        return Confident(self.confidence) if self.confidence else None


def check_constants(initial_c: float, largest_c: float) -> None:
    """Refuse a largest constant below the first one."""
    if largest_c < initial_c:
        raise InvalidInput(f"largest_c is {largest_c}, initial_c {initial_c}: give largest_c >= initial_c")
