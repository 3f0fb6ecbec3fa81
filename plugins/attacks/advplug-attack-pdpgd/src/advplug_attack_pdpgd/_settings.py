"""The hyper-parameters whose best value depends on the norm, and their values for each."""

from __future__ import annotations

from typing import NamedTuple


class Settings(NamedTuple):
    """The same for all networks; see :class:`PDPGD`."""

    step_size: float
    dual_step_size: float
    ratio: float
    start_widths: tuple[float, ...]
    fine_step_size: float


DEFAULTS = {
    "linf": Settings(step_size=0.1, dual_step_size=0.1, ratio=0.1, start_widths=(0.5, 0.0), fine_step_size=0.3),
    "l2": Settings(step_size=1.0, dual_step_size=0.1, ratio=0.01, start_widths=(0.5, 0.0), fine_step_size=0.3),
    "l1": Settings(
        step_size=1.0, dual_step_size=0.3, ratio=0.01, start_widths=(0.5, 0.5, 0.5, 0.0), fine_step_size=0.3
    ),
    "l0": Settings(
        step_size=1.0, dual_step_size=0.3, ratio=0.01, start_widths=(0.5, 0.5, 0.5, 0.5, 0.0), fine_step_size=0.3
    ),
}

ENOUGH = 500
"""Steps for all the searches of ``DEFAULTS``; with fewer, the first of them are left out in proportion."""


def default_settings(norm: str, steps: int) -> Settings:
    """The defaults of ``norm`` for a run of so many steps: no search gets shorter, there are fewer."""
    default = DEFAULTS[norm]
    room = max(1, len(default.start_widths) * steps // ENOUGH)
    return default._replace(start_widths=default.start_widths[-room:])
