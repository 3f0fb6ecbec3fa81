"""What each evaluation of an attack found, as those hear it who follow a run: files, TensorBoard, MLflow.

Nothing here is computed unless somebody listens, and what is computed changes nothing in the search.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.numerics.tensors import norms


@dataclass(frozen=True, kw_only=True)
class Step:
    """One evaluation of a batch of n samples.

    Parameters
    ----------
    attack: name of the attack, as in the table.
    number: how many evaluations of this attack came before, over all batches, rounds and stages.
    restart: number of the restart.
    samples: int64 (n,), the number of each in the data.
    loss: float (n,), what the search minimises, of several values the least.
    margin: float (n,), score of the true class less the largest other one: negative where the model is wrong.
    distance: float64 (n,), norm of the perturbation under the threat model.
    gradient_norm: float (n,), Euclidean norm of the gradient; None where none was asked for.
    success: bool (n,), whether the criterion counts the point.
    """

    attack: str = ""
    number: int
    restart: int = 0
    samples: Tensor
    loss: Tensor
    margin: Tensor
    distance: Tensor
    gradient_norm: Tensor | None = None
    success: Tensor

    def summary(self) -> dict[str, float]:
        """Medians of loss, margin, distance and gradient norm over the finite values, and the share of successes."""
        values = {
            "loss": self.loss, "margin": self.margin, "distance": self.distance, "gradient_norm": self.gradient_norm,
        }  # fmt: skip
        found = {name: _median(column) for name, column in values.items() if column is not None}
        return {**found, "success": float(self.success.double().mean()) if len(self.success) else 0.0}


Listen = Callable[[Step], None]
"""Called with each step of one attack."""


class Tracker:
    """Hears of every step. Override what is needed.

    A class that a plugin brings is called with the text of its target, which may be left out, and writes nothing before
    it is opened. As a context manager it is open inside.
    """

    def open(self) -> None:
        """Make sure that it can write, before an attack has cost an hour."""

    def step(self, step: Step) -> None:
        """One evaluation of a batch. It runs inside the attack, so it should be quick."""

    def finish(self, evaluation: Any) -> None:
        """The :class:`advplug.records.Evaluation` that the steps led to."""

    def close(self) -> None:
        """Nothing more will come."""

    def of_attack(self, name: str) -> Listen:
        """What hears of the steps of the attack ``name``, and numbers them; asked again, it goes on."""
        known: dict[str, _Numbered] = vars(self).setdefault("_numbered", {})
        return known.setdefault(name, _Numbered(self, name))

    def __enter__(self) -> Tracker:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Numbered:
    """Puts the name of the attack and a running number into each step."""

    def __init__(self, tracker: Tracker, name: str) -> None:
        self.tracker, self.name, self.count = tracker, name, 0

    def __call__(self, step: Step) -> None:
        self.tracker.step(replace(step, attack=self.name, number=self.count))
        self.count += 1


class Recorder(Tracker):
    """Keeps all steps in a list, for a notebook."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def step(self, step: Step) -> None:
        self.steps.append(step)


class CsvTracker(Tracker):
    """One line for each evaluation of a batch: ``attack, evaluation, restart, samples`` and the medians."""

    COLUMNS = (
        "attack", "evaluation", "restart", "samples", "loss", "margin", "distance", "gradient_norm", "success",
    )  # fmt: skip

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None
        self._writer: Any = None

    def open(self) -> None:
        """Begin the file, or go on at its end: a run that is resumed makes only the steps that are left.

        Raises
        ------
        InvalidInput: it cannot be written.
        """
        if self._file is not None:
            return
        try:
            self._file = self.path.open("a", newline="", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"csv:{self.path} cannot be written ({error.strerror}): name another file") from error
        self._writer = csv.DictWriter(self._file, self.COLUMNS, restval="")
        if self._file.tell() == 0:
            self._writer.writeheader()

    def step(self, step: Step) -> None:
        self.open()
        figures = {name: f"{value:.6g}" for name, value in step.summary().items()}
        head = {"attack": step.attack, "evaluation": step.number, "restart": step.restart}
        self._writer.writerow({**head, "samples": len(step.samples), **figures})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Score of the true class less the largest other one, (n,), for logits (n, K) and labels int64 (n,)."""
    own = logits.gather(1, labels[:, None])
    return (own - logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)).squeeze(1)


def step_of(
    x: Tensor,
    inputs: Tensor,
    *,
    norm: str,
    samples: Tensor,
    labels: Tensor | None,
    loss: Tensor,
    logits: Tensor,
    success: Tensor,
    gradient: Tensor | None = None,
    number: int = 0,
    restart: int = 0,
) -> Step:
    """The step at ``x`` (n, ...) around ``inputs`` (n, ...), with copies of all that it needs.

    ``loss`` (n,) or (n, M), ``logits`` (n, K), ``gradient`` (n, ...) or (n, M, ...) of which the first is taken.
    Without ``labels`` there is no margin, and NaN stands for it.
    """
    if gradient is not None and gradient.ndim > x.ndim:
        gradient = gradient[:, 0]
    with torch.no_grad():
        margin = loss.new_full((len(x),), torch.nan) if labels is None else margins(logits.detach(), labels)
        return Step(
            number=number,
            restart=restart,
            samples=samples.clone(),
            loss=(loss if loss.ndim == 1 else loss.amin(1)).detach().clone(),
            margin=margin,
            distance=norms(x.detach().double() - inputs.double(), norm),
            gradient_norm=None if gradient is None else gradient.detach().flatten(1).norm(dim=1),
            success=success.clone(),
        )


def _median(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.median()) if len(finite) else float("nan")
