"""What an evaluation found: one row per attack, one record per sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from advplug.errors import InvalidInput
from advplug.hyperparameters import Natural, NonNegative, Share
from advplug.numerics.sequences import spelled
from advplug.numerics.written_numbers import number_in
from advplug.records.finding import Finding
from advplug.records.per_sample import PerSample, left_by, merged
from advplug.specs import imported

SCHEMA_VERSION = 2

_RENAMED = {"flips": "clean_error_rate", "run": "run_dir", "words": "components"}
"""Names of version 1, which is still read, and what they are called now."""

NOTHING, CLOSE = 0.05, 1.5
"""What is next to nothing of an accuracy, and how many times a distance is as good as the distance itself."""

_PAIRS = ("sweep", "queries_at", "shrunk", "stages")

Arrays = Mapping[str, NDArray[Any]]

# text, as in a spec: the records stand below what shows and stores them
_AS_TABLE, _AS_HTML, _AS_TEXT, _PLOT = (
    f"advplug.display.evaluations:{name}" for name in ("as_table", "as_html", "as_text", "plot_security_curve")
)
_SAVE, _LOAD = "advplug.evaluation.storage.saved:save", "advplug.evaluation.storage.saved:load"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One attack's figures. Accuracies are fractions of all samples; what was wrong before the attack counts as lost.

    Parameters
    ----------
    queries, gradients: mean forward and backward passes per attacked sample.
    detected: share of attacked samples whose best input is misclassified but rejected; None without a detector.
    seconds: wall time.
    median_distance, mean_distance: of the successes, in the norm of the threat model; None without a success.
    components: the recipe, as text.
    sweep: pairs (epsilon, robust accuracy), ascending, of the attack run at each budget, the last the row's own; of a
        minimum-norm run, read off its distances.
    queries_at: pairs (epsilon, mean forward passes at that budget alone) of a sweep, whose ``queries`` are their sum:
        no budget attacks again what a smaller one broke. Empty without a sweep, and in older records.
    stages: pairs (stage, robust accuracy after it) of an attack of several stages; empty for others.
    left_out: names of the stages that could not run, because the model gives no gradient.
    more_steps: how many of the samples that stood were attacked again with twice the steps, and how many then fell.
    lost: successes of the search that did not hold when they were judged again; they count as robust.
    randomised: of a random model, accuracy on the best points over fresh draws: ``draws``, and ``mean``, ``worst``
        (right in every draw) and ``majority``, each with its ``_interval``; empty for others.
    rejection: of a model that rejects, ``false_positives`` and ``joint`` success, and if it offers its scores
        ``success_at`` fixed false positive rates and ``roc``; empty for others.
    shrunk: pairs (epsilon, accuracy): an upper bound at smaller budgets, from shrinking the adversarials found.
    arrays: per-sample records as in :class:`advplug.api.AttackResult`, and ``predicted``, int64 (N,), the class
        that the model gives to each adversarial (to the clean input where there is none), and ``evaluations``, int64
        (N, stages, restarts + 1): for each sample, the rows of its column of the trace that each restart of each stage
        took, in this order.
    """

    role: str
    name: str
    library: str
    robust_accuracy: Share
    detected: Share | None
    queries: NonNegative
    gradients: NonNegative
    seconds: NonNegative
    published: Share | None
    source: str | None
    median_distance: NonNegative | None = None
    mean_distance: NonNegative | None = None
    components: Mapping[str, str] = field(default_factory=dict)
    sweep: tuple[tuple[float, float], ...] = ()
    queries_at: tuple[tuple[float, float], ...] = ()
    stages: tuple[tuple[str, float], ...] = ()
    shrunk: tuple[tuple[float, float], ...] = ()
    left_out: tuple[str, ...] = ()
    more_steps: tuple[int, int] = (0, 0)
    lost: Natural = 0
    randomised: Mapping[str, Any] = field(default_factory=dict)
    rejection: Mapping[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict, repr=False, compare=False)

    def figures(self) -> dict[str, Any]:
        """Everything but the per-sample arrays, for JSON."""
        return {name: value for name, value in asdict_shallow(self).items() if name != "arrays"}

    @classmethod
    def from_figures(cls, figures: Mapping[str, Any], arrays: Arrays | None = None) -> Row:
        """The row of which :meth:`figures` gave ``figures``, read from JSON."""
        figures = {"queries_at": (), **_renamed(figures)}
        pairs = {name: tuple((at, left) for at, left in figures[name]) for name in _PAIRS}
        lists: dict[str, Any] = {name: tuple(figures[name]) for name in ("left_out", "more_steps") if name in figures}
        return cls(**{**figures, **pairs, **lists}, arrays=arrays or {})


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation:
    """A finished evaluation.

    Parameters
    ----------
    case: the case or model under evaluation; ``preset`` its configuration, None for a user's own model.
    threat: as text, such as ``linf:0.3``, or ``linf:0.3, within a mask``.
    clean_accuracy: share of samples that are right (and accepted) before any attack.
    clean_error_rate: mean share of fresh draws in which a clean answer is wrong, for stochastic models; None otherwise.
    false_positives: share of clean inputs that the detector rejects; None without a detector.
    inputs, labels: float32 (N, ...) and int64 (N,), the attacked samples.
    class_names, transcribed, sample_rate: of the samples, as in :class:`advplug.Images`.
    landscapes: the margin around some samples, as :mod:`advplug.evaluation.landscapes` measured it; empty without.
    run_dir: run directory, None if nothing was to be written.
    unsaved: what could not be written there, and the reason for each; empty if all was. Not in the JSON document.
    """

    case: str
    preset: str | None
    threat: str
    samples: Natural
    clean_accuracy: Share
    clean_error_rate: Share | None
    false_positives: Share | None
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...] = ()
    claim: str | None = None
    lesson: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    inputs: NDArray[np.float32] = field(repr=False, compare=False, default_factory=lambda: np.zeros(0, np.float32))
    labels: NDArray[np.int64] = field(repr=False, compare=False, default_factory=lambda: np.zeros(0, np.int64))
    class_names: tuple[str, ...] = ()
    transcribed: bool = False
    sample_rate: int | None = None
    landscapes: Arrays = field(repr=False, compare=False, default_factory=dict)
    run_dir: Path | None = None
    unsaved: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def not_saved(self) -> str:
        """One line on what could not be written, by its reason; "" where all was."""
        reasons: dict[str, list[str]] = {}
        for what, reason in self.unsaved.items():
            reasons.setdefault(reason, []).append(what)
        text = "; ".join(f"{', '.join(things)} ({reason})" for reason, things in reasons.items())
        return text and f"not written into {self.run_dir}: {text}"

    @property
    def epsilon(self) -> float | None:
        """The budget, None for minimum norm."""
        budget = self.threat.partition(":")[2].partition(",")[0]
        return None if budget == "min" else number_in(budget)

    @property
    def broken(self) -> bool:
        """Whether the strongest adaptive attack leaves next to nothing of what the defense adds.

        That is at most 5 %, a third of what the baselines leave together, or five points more than the network keeps
        without the defense, where a control says how much that is.

        The accuracy of a random model is an expectation over its draws, and noise alone gets some of them right. It is
        also broken if at most 5 % of the samples are right in more than half of fresh draws.

        Under minimum norm every attack may go any distance, so that accuracy says little. Where a control says how far
        the network alone has to be led, an attack that leaves at most 5 % has to do so within 1.5 times that distance.
        """
        adaptive = self._left("adaptive")
        if not adaptive:
            return False
        if self.undefended_distance is not None:
            return (self._distance("adaptive") or np.inf) <= CLOSE * self.undefended_distance
        measured = self.baseline_accuracy
        baseline = self.clean_accuracy if measured is None else measured
        if self.majority_accuracy is not None and self.majority_accuracy <= NOTHING:
            return True
        return min(adaptive) <= max(NOTHING, baseline / 3, (self.undefended_accuracy or 0.0) + NOTHING)

    @property
    def baseline_accuracy(self) -> float | None:
        """What all baselines leave together: each sample counts as the baseline worst for it left it. None without any.

        Where the per-sample records are not here, it is what the strongest of them leaves.
        """
        rows = [row for row in self.rows if row.role == "baseline"]
        if len(rows) > 1 and all("success" in row.arrays for row in rows):
            return float(np.min([left_by(row.arrays) for row in rows], axis=0).mean())
        return min(self._left("baseline"), default=None)

    @property
    def majority_accuracy(self) -> float | None:
        """Share of the samples that a random model gets right in more than half of fresh draws, under the adaptive
        attack; None for other models, and in older records.
        """
        rows = [row.randomised for row in self.rows if row.role == "adaptive" and row.randomised]
        return min((float(each["majority"]) for each in rows), default=None)

    @property
    def undefended_accuracy(self) -> float | None:
        """What the network keeps without the defense, where a control measured it."""
        return min(self._left("control"), default=None)

    @property
    def undefended_distance(self) -> float | None:
        """Median distance to which the network is led without the defense, where a minimum-norm control measured it."""
        return self._distance("control") if self.epsilon is None else None

    @property
    def attacks(self) -> tuple[Row, ...]:
        """The rows of attacks on the evaluated model; controls attack another one."""
        return tuple(row for row in self.rows if row.role != "control")

    @property
    def best(self) -> Row | None:
        """The attack that leaves the least accuracy, of equal ones the one of least median distance; None without."""
        return min(self.attacks, key=_strength, default=None)

    @property
    def robust_accuracy(self) -> float:
        """Share of the samples that are right and that no attack breaks: each sample under the attack worst for it.

        At most what the best single attack leaves. For a stochastic model the mean share of draws that stay right.
        """
        return self.clean_accuracy if not self.attacks else float(self.together.left.mean())

    @property
    def adversarials(self) -> NDArray[Any]:
        """Of each sample the best adversarial that any attack found, (N, ...); the clean input where there is none."""
        return self.together.adversarials

    @property
    def broken_by(self) -> tuple[str, ...]:
        """Name of the attack that found each of :attr:`adversarials`, "" where there is none."""
        names = [row.name for row in self.attacks]
        return tuple(names[best] if best >= 0 else "" for best in self.together.best.tolist())

    @property
    def together(self) -> PerSample:
        """What all attacks found on each sample, together.

        Raises
        ------
        InvalidInput: no attack was run, or the per-sample records are not here.
        """
        rows = self.attacks
        if not rows or any("success" not in row.arrays for row in rows):
            raise InvalidInput("no per-sample records: read the run directory with Evaluation.load(directory)")
        return merged([row.arrays for row in rows])

    def per_sample(self) -> dict[str, Any]:
        """Columns (N,) with one entry per sample.

        These are ``sample``, ``label``, ``correct`` (before any attack), ``predicted`` (the class given to the best
        adversarial), ``broken``, ``broken_by``, ``distance`` (the least, NaN where unbroken), and ``queries`` and
        ``gradients`` of all attacks together.
        """
        found = self.together
        correct = self.attacks[0].arrays.get("correct", np.ones(len(found.left), bool))
        return {
            "sample": np.arange(len(found.left)),
            "label": np.asarray(self.labels),
            "correct": np.asarray(correct, bool),
            "predicted": found.predicted,
            "broken": found.best >= 0,
            "broken_by": np.asarray(self.broken_by, object),
            "distance": found.distance,
            "queries": found.forwards,
            "gradients": found.backwards,
        }

    def to_pandas(self, per: Literal["attack", "sample"] = "attack") -> Any:
        """A ``pandas.DataFrame`` with one row per attack, or per sample.

        Raises
        ------
        InvalidInput: pandas is not installed, or the per-sample records are not here.
        """
        return imported(_AS_TABLE)(self, per)

    def plot_security_curve(self, ax: Any = None) -> Any:
        """Draw accuracy against budget, each attack and all together, into matplotlib's ``ax``, a new one for None."""
        return imported(_PLOT)(self, ax)

    def plot(self, ax: Any = None) -> Any:
        """:meth:`plot_security_curve`, under the name that every result has."""
        return self.plot_security_curve(ax)

    def save(self, directory: str | Path) -> Evaluation:
        """Write all of it into ``directory`` as a run does; returns it with that directory.

        Raises
        ------
        InvalidInput: the directory cannot be written, or holds files of somebody else.
        """
        saved: Evaluation = imported(_SAVE)(self, Path(directory))
        return saved

    @classmethod
    def load(cls, directory: str | Path) -> Evaluation:
        """The evaluation that :meth:`save`, ``advplug evaluate`` or ``advplug break`` left in ``directory``.

        Raises
        ------
        InvalidInput: there is none, or it is damaged.
        """
        loaded: Evaluation = imported(_LOAD)(Path(directory))
        return loaded

    def __repr__(self) -> str:
        """Three lines: what was attacked, what is left, and what else is here."""
        text: str = imported(_AS_TEXT)(self)
        return text

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, then the table."""
        html: str = imported(_AS_HTML)(self)
        return html

    def name_of(self, label: int) -> str:
        """The name of a class, or the sequence behind a label that is one; the number where it has none."""
        if self.transcribed:
            return spelled(label, self.class_names) or "nothing"
        return self.class_names[label] if label < len(self.class_names) else str(label)

    def _left(self, role: str) -> list[float]:
        return [row.robust_accuracy for row in self.rows if row.role == role]

    def _distance(self, role: str) -> float | None:
        """The least median distance of the attacks that leave next to nothing, None without any."""
        rows = [row for row in self.rows if row.role == role and row.robust_accuracy <= NOTHING]
        return min((row.median_distance for row in rows if row.median_distance is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """The document that ``--json`` prints."""
        return {
            "schema_version": SCHEMA_VERSION,
            **{name: getattr(self, name) for name in _PLAIN},
            "rows": [row.figures() for row in self.rows],
            "findings": [asdict(finding) for finding in self.findings],
            "broken": self.broken,
            "run_dir": None if self.run_dir is None else str(self.run_dir),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evaluation:
        """The evaluation that :meth:`to_json` printed, without per-sample records and images.

        Raises
        ------
        InvalidInput: another version wrote it.
        """
        version = document["schema_version"]
        if version not in (1, SCHEMA_VERSION):
            raise InvalidInput(
                f"the record has schema version {version}, not {SCHEMA_VERSION}: the same command again mends it"
            )
        document = _renamed(document)
        plain: dict[str, Any] = {name: document[name] for name in _PLAIN}
        return cls(
            rows=tuple(Row.from_figures(row) for row in document["rows"]),
            findings=tuple(Finding.from_figures(finding) for finding in document["findings"]),
            run_dir=None if document["run_dir"] is None else Path(document["run_dir"]),
            **plain,
        )


def _strength(row: Row) -> tuple[float, float]:
    return row.robust_accuracy, float("inf") if row.median_distance is None else row.median_distance


_PLAIN = (
    "case", "preset", "threat", "samples", "clean_accuracy", "clean_error_rate", "false_positives", "claim", "lesson",
)  # fmt: skip
"""Fields that stand in JSON as they are."""


def _renamed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of version 1 with the names of today."""
    return {_RENAMED.get(name, name): value for name, value in document.items()}


def asdict_shallow(instance: Any) -> dict[str, Any]:
    """Fields by name, without copying what they hold."""
    return {name: getattr(instance, name) for name in instance.__dataclass_fields__}
