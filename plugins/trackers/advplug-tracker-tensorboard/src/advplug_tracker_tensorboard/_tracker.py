"""Steps as curves, values of single samples as histograms, results at the end."""

from __future__ import annotations

import math
import re
from typing import Any

from tensorboardX import SummaryWriter

from advplug.errors import InvalidInput
from advplug.records import Evaluation
from advplug.tracking import Step, Tracker

FOLDER = "runs"
"""Where event files go if no folder is named; ``tensorboard --logdir runs`` reads them."""

HISTOGRAMS_EVERY = 10
"""Steps between two histograms, which cost more than a curve's point."""


class TensorBoardTracker(Tracker):
    """Writes event files for TensorBoard into a folder.

    Parameters
    ----------
    target: the folder; empty for :data:`FOLDER`.
    """

    def __init__(self, target: str = "") -> None:
        self.folder = target or FOLDER
        self._opened: Any = None

    def open(self) -> None:
        """Make the folder.

        Raises
        ------
        InvalidInput: it cannot be written.
        """
        self._writer()

    def step(self, step: Step) -> None:
        writer = self._writer()
        for name, value in step.summary().items():
            if not math.isfinite(value):  # tensorboardX would complain of each
                continue
            writer.add_scalar(_tag(step.attack, name), value, step.number)
        if step.number % HISTOGRAMS_EVERY == 0:
            for name, values in (("margin", step.margin), ("distance", step.distance)):
                finite = values[values.isfinite()]
                if len(finite):
                    writer.add_histogram(_tag(step.attack, f"{name}_of_each"), finite.cpu().numpy(), step.number)

    def finish(self, evaluation: Evaluation) -> None:
        writer = self._writer()
        for row in evaluation.rows:
            writer.add_scalar(_tag("robust_accuracy", row.name), row.robust_accuracy, 0)
        writer.add_scalar(_tag("robust_accuracy", "no attack"), evaluation.clean_accuracy, 0)
        writer.flush()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _writer(self) -> Any:
        if self._opened is None:
            try:
                self._opened = SummaryWriter(self.folder)
            except OSError as error:
                why = error.strerror or error
                raise InvalidInput(f"tensorboard:{self.folder} cannot be written ({why}): name a folder") from error
        return self._opened


def _tag(group: str, name: str) -> str:
    """``group/name`` with the characters alone that TensorBoard takes."""
    return "/".join(re.sub(r"[^\w.-]+", "_", part).strip("_") for part in (group, name))
