"""One observation about an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["pass", "warn", "fail", "not-run"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One observation, made by the host or by a plugin's ``advplug_diagnose``.

    Parameters
    ----------
    name: short and stable, such as ``few-steps``.
    id: the diagnostic that it belongs to, ``G1`` to ``G14``; "" for findings of a plugin's own.
    status: ``pass``; ``warn``, a figure may be wrong; ``fail``, a figure is wrong; ``not-run``, nobody looked.
    message: what was seen and what it means, or why nobody looked.
    advice: the one change to try next; empty where there is nothing to change.
    figure, threshold: the number that was measured and the one that it was held against; None without a number.
    samples: indices of the samples that show it, ascending.
    """

    name: str
    status: Status
    message: str
    advice: str = ""
    id: str = ""
    figure: float | None = None
    threshold: float | None = None
    samples: tuple[int, ...] = ()

    @classmethod
    def from_figures(cls, figures: Mapping[str, Any]) -> Finding:
        """The finding that was written as ``figures``, read from JSON; earlier versions wrote fewer of them."""
        return cls(**{**figures, "samples": tuple(figures.get("samples", ()))})
