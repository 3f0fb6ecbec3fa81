"""The result of one attack, as :func:`advplug.run` returns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from advplug.display import tables
from advplug.engine.result import AttackResult
from advplug.evaluation.diagnostics.signs import percent
from advplug.numerics.written_numbers import written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = (
    "correct", "success", "success_rate", "detected", "lost", "distance", "target", "restart", "stage", "forwards",
    "backwards",
)  # fmt: skip


def text_of(result: AttackResult) -> str:
    """Three lines: what was attacked and is left, how far away the successes lie, and what they cost."""
    return "\n".join(f"{name}: {told}" for name, told in _facts(result).items())


def html_of(result: AttackResult) -> str:
    """The same three facts as a table."""
    return tables.html_table(("", "AttackResult"), _facts(result).items())


def columns_of(result: AttackResult) -> dict[str, Any]:
    """Columns (N,) with one entry per sample; the text of the stage that broke it where there are several."""
    found: dict[str, Any] = {"sample": np.arange(len(result.success))}
    found |= {name: _array(getattr(result, name)) for name in _COLUMNS}
    if result.stages:
        names = np.asarray([*result.stages, ""], object)  # the last stands for "none", which is -1
        found["stage"] = names[found["stage"]]
    return found


def table_of(result: AttackResult) -> Any:
    """A ``pandas.DataFrame`` with one row per sample; raises as :func:`advplug.display.tables.data_frame`."""
    return tables.data_frame(columns_of(result))


def plot(result: AttackResult, ax: Axes | None = None) -> Axes:
    """Draw accuracy against the distance of the perturbations that were found.

    Of a search for the least norm this is an upper bound of the robust accuracy at each budget. An attack with a budget
    looks for no smaller ones: its curve says how many samples fell, and at the end of the budget how many are left.
    """
    ax = tables.axes(ax)
    found = torch.sort(result.distance[result.success].detach().cpu()).values.tolist()
    left = [100 * result.robust_accuracy_at(distance) for distance in found]
    clean = 100 * result.clean_accuracy
    ax.plot([0.0, *found], [clean, *left], drawstyle="steps-post")
    ax.axhline(clean, color="grey", linestyle=":", linewidth=1)
    ax.set(xlabel="distance of the adversarial", ylabel="accuracy (%)", ylim=(0, 101), xlim=(0, None))
    return ax


def _facts(result: AttackResult) -> Mapping[str, str]:
    broken = int(result.success.sum())
    attacked = int(result.correct.sum())
    samples = (
        f"{len(result.success)} samples, {percent(result.clean_accuracy)} right before and "
        f"{percent(result.robust_accuracy)} after, {broken} of {attacked} broken"
    )
    notes = [
        f"{int(getattr(result, name).sum())} {told}"
        for name, told in (
            ("detected", "rejected by the detector"),
            ("lost", "lost when they were judged again"),
            ("given_up", "given up before the last step"),
        )
        if bool(getattr(result, name).any())
    ]
    return {
        "attacked": ", ".join((samples, *notes)),
        "distance": _spread(result.distance[result.success]),
        "passes": _cost(result),
    }


def _spread(distance: Tensor) -> str:
    if not len(distance):
        return "no success"
    low, middle, high = (
        written(float(value), digits=4) for value in (distance.min(), distance.median(), distance.max())
    )
    return f"{low} to {high}, median {middle}"


def _cost(result: AttackResult) -> str:
    attacked = max(int(result.correct.sum()), 1)
    forwards, backwards = (float(passes.sum()) / attacked for passes in (result.forwards, result.backwards))
    without = int((result.unusable_gradients > 0).sum())
    masked = f"; {without} samples met a gradient that was zero or not finite" if without else ""
    return f"{forwards:.1f} forward and {backwards:.1f} backward per attacked sample{masked}"


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()
