"""What an attack run returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from advplug.engine.verification import TOLERANCE
from advplug.specs import imported

CERTAIN = 0.95
"""Share of the draws of a random model from which on a sample counts as broken for good: nothing attacks it further."""

# text, as in a spec: the engine stands below what shows and stores its results
_TEXT, _HTML, _COLUMNS, _TABLE, _PLOT = (
    f"advplug.display.attack_results:{name}" for name in ("text_of", "html_of", "columns_of", "table_of", "plot")
)
_SAVE, _LOAD = (f"advplug.evaluation.storage.saved:{name}" for name in ("save_result", "load_result"))


@dataclass(frozen=True, repr=False)
class AttackResult:
    """One row per sample; every success was verified by a fresh decision on the returned array.

    Parameters
    ----------
    adversarials: float (N, ...), like the inputs; the clean input where there is no success.
    success: bool (N,): in bounds, within the budget, and counted by the criterion. False for samples that were
        wrong before the attack: they are reported by ``correct``.
    success_rate: float (N,), share of fresh draws of the model that the best point fooled; 0 or 1 if deterministic. A
        success is a rate above one half.
    correct: bool (N,), right (and accepted) before the attack.
    clean_error_rate: float (N,), share of fresh draws in which the answer to the clean input was not the true label.
    detected: bool (N,), the best point found is misclassified but rejected; never True without a detector.
    lost: bool (N,), no success, but the search counted one that did not hold when the returned array was judged.
    given_up: bool (N,), no success, and the last attack ended a search of the sample before its last step.
    distance: float64 (N,), norm of the perturbation under the threat model; NaN where there is no success.
    target: int64 (N,), class aimed at in the successful round; -1 for none.
    restart: int64 (N,), number of the successful restart; -1 for none.
    stage: int64 (N,), number of the stage that succeeded in an attack of several; -1 for none.
    forwards, backwards: int64 (N,), passes that the search spent on each sample; verification is not charged.
    unusable_gradients: int64 (N,), steps at which the gradient was zero throughout or not finite: a sign of masking.
    trace: float32 (T, N), loss at each evaluation, NaN where the sample had left; rounds follow one another.
        Where several targets of a sample share a batch, the least of theirs.
    evaluations: int64 (N, stages, restarts + 1), how many rows of the sample's column of ``trace`` each restart of each
        stage took, in this order; one stage for an attack without any. The last counts the search past successes that
        did not hold.
    stages: names of the stages of an attack of several; empty for others.
    left_out: names of those that could not run, because the model gives no gradient.
    tried: like ``adversarials``, the best point of each sample of a random model, also where it breaks too few draws
        for a success; None for a model that is not random.
    rates: float32 (N, stages), ``success_rate`` of a random model after each stage; None for others, and for an attack
        without stages.
    """

    adversarials: Tensor
    success: Tensor
    success_rate: Tensor
    correct: Tensor
    clean_error_rate: Tensor
    detected: Tensor
    lost: Tensor
    given_up: Tensor
    distance: Tensor
    target: Tensor
    restart: Tensor
    stage: Tensor
    forwards: Tensor
    backwards: Tensor
    unusable_gradients: Tensor
    trace: Tensor
    evaluations: Tensor
    stages: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    tried: Tensor | None = None
    rates: Tensor | None = None

    @property
    def robust_accuracy(self) -> float:
        """Share of all samples that are right and stay so; what was wrong before the attack counts as lost.

        For a stochastic model this is the expectation over its draws.
        """
        return float((self.correct * (1 - self.success_rate)).double().mean())

    def robust_accuracy_at(self, epsilon: float) -> float:
        """Share of all samples that are right and for which no success within ``epsilon`` was found.

        What a minimum-norm run says of each budget at once; of a run with a budget it says nothing beyond that.
        """
        return float((self.correct & ~(self.distance <= epsilon * (1 + TOLERANCE))).double().mean())

    def accuracy_after_stages(self) -> tuple[tuple[str, float], ...]:
        """Pairs (stage, share of all samples that are right and that no stage up to this one has broken).

        For a stochastic model this is the expectation over its draws.
        """
        if self.rates is not None:
            left = [self.correct * (1 - rate) for rate in self.rates.unbind(1)]
        else:
            left = [self.correct & ~(self.success & (self.stage <= number)) for number in range(len(self.stages))]
        return tuple((name, float(rows.double().mean())) for name, rows in zip(self.stages, left, strict=True))

    @property
    def standing(self) -> Tensor:
        """Which samples are worth another attack, bool (N,): right before, and not broken.

        A sample of a stochastic model stands until it is broken in nearly all draws.
        """
        return self.correct & (self.success_rate < CERTAIN if self.tried is not None else ~self.success)

    def standing_after(self, stages: int) -> Tensor:
        """Which samples stood after the first so many ``stages``, bool (N,)."""
        if self.rates is not None:
            return self.correct & (self.rates[:, stages - 1] < CERTAIN)
        return self.correct & ~(self.success & (self.stage < stages))

    @property
    def clean_accuracy(self) -> float:
        """Share of samples that are right before the attack."""
        return float(self.correct.double().mean())

    def per_sample(self) -> dict[str, Any]:
        """Columns (N,) with one entry per sample, of all fields that have one: NumPy arrays by name."""
        columns: dict[str, Any] = imported(_COLUMNS)(self)
        return columns

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row per sample.

        Raises
        ------
        InvalidInput: pandas is not installed.
        """
        return imported(_TABLE)(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw accuracy against the distance of the adversarials into matplotlib's ``ax``, a new one for None."""
        return imported(_PLOT)(self, ax)

    def save(self, path: str | Path) -> Path:
        """Write all of it into one safetensors file and return its path.

        Raises
        ------
        InvalidInput: the file is there already, or cannot be written.
        """
        written: Path = imported(_SAVE)(self, Path(path))
        return written

    @classmethod
    def load(cls, path: str | Path) -> AttackResult:
        """The result that :meth:`save` wrote, on the CPU.

        Raises
        ------
        InvalidInput: there is no such file, it is damaged, or something else.
        """
        loaded: AttackResult = imported(_LOAD)(Path(path))
        return loaded

    def __repr__(self) -> str:
        """Three lines: what was attacked and is left, the distances, and what it cost."""
        text: str = imported(_TEXT)(self)
        return text

    def _repr_html_(self) -> str:
        """For notebooks: the same as a table."""
        html: str = imported(_HTML)(self)
        return html

    @classmethod
    def empty(cls, inputs: Tensor, correct: Tensor, clean_error_rate: Tensor, restarts: int = 1) -> AttackResult:
        """The result of not attacking, with room for so many ``restarts``."""
        count, device = len(inputs), inputs.device
        return cls(
            adversarials=inputs.clone(),
            success=torch.zeros(count, dtype=torch.bool, device=device),
            success_rate=torch.zeros(count, dtype=torch.float32, device=device),
            correct=correct,
            clean_error_rate=clean_error_rate,
            detected=torch.zeros(count, dtype=torch.bool, device=device),
            lost=torch.zeros(count, dtype=torch.bool, device=device),
            given_up=torch.zeros(count, dtype=torch.bool, device=device),
            distance=torch.full((count,), torch.nan, dtype=torch.float64, device=device),
            target=torch.full((count,), -1, device=device),
            restart=torch.full((count,), -1, device=device),
            stage=torch.full((count,), -1, device=device),
            forwards=torch.zeros(count, dtype=torch.int64, device=device),
            backwards=torch.zeros(count, dtype=torch.int64, device=device),
            unusable_gradients=torch.zeros(count, dtype=torch.int64, device=device),
            trace=torch.zeros(0, count, dtype=torch.float32, device=device),
            evaluations=torch.zeros(count, 1, restarts + 1, dtype=torch.int64, device=device),
        )
