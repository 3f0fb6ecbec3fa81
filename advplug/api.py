"""The calls that most users need: run one attack, evaluate a model, load a plugin."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import eagerpy as ep
from torch import nn

from advplug.attack import Attack
from advplug.criteria import Criterion
from advplug.data import Images
from advplug.engine.problem import Options, Progress, make_problem
from advplug.engine.result import AttackResult
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput
from advplug.evaluation import evaluate as evaluate_job
from advplug.evaluation.executors import Executor
from advplug.evaluation.problems import Watch
from advplug.gradients import GradientEstimator
from advplug.intake.given import as_tensor, tensors_of
from advplug.losses import Loss
from advplug.numerics.tensors import wrap
from advplug.plugins.manager import Manager, default_manager, load
from advplug.plugins.trackers import tracking
from advplug.records import Evaluation, Job
from advplug.specs import imported
from advplug.threat import ThreatModel
from advplug.tracking import Tracker

__all__ = ["AttackResult", "Evaluation", "evaluate", "load", "run"]

# text, as in a spec: these read what a user names as the command line does, and stand above it
_CALL, _JOB_OF, _PROGRESS_OF, _STEPS_OF, _EXECUTOR_OF = (
    f"advplug.user_job:{name}" for name in ("Call", "job_of", "progress_of", "steps_of", "executor_of")
)
_WRITE_REPORT = "advplug.report.page:write_report"


def run(
    attack: Attack,
    model: nn.Module,
    inputs: Any,
    labels: Any = None,
    threat: ThreatModel | str | None = None,
    *,
    loss: Loss | None = None,
    gradient: GradientEstimator | None = None,
    criterion: Criterion | None = None,
    targets: Any = None,
    num_targets: int | None = None,
    epsilon: Any = None,
    starting_points: Any = None,
    auxiliary: Images | None = None,
    tracker: Tracker | None = None,
    progress: bool | Progress | None = None,
    **options: Any,
) -> AttackResult:
    """Attack ``model`` with an attack, a loss, a gradient estimator and a criterion.

    Parameters
    ----------
    model: a DefendedModel, or any module from inputs in ``threat.bounds`` to logits (N, K).
    inputs: float32 or float64 (N, ...), raw or eagerpy; or an array, of which the values are taken as float32, and
        pixels of uint8 as values in [0, 1]. Without ``labels`` what has both: a ``torch.utils.data`` Dataset or
        DataLoader, a pair, a dataset of Hugging Face, or :class:`advplug.Images`.
    labels: integer (N,).
    threat: what the attacker may do, required: a ThreatModel, or text such as ``"linf:8/255"``, ``"l2:min"``.
    loss, gradient, criterion: the attack's own loss, exact gradients and the goal of ``threat`` unless given.
    targets: classes (N,) to reach, ``"each"`` for every other class in turn, or None.
    num_targets: how many of the likeliest other classes to try in turn, instead of ``targets``.
    epsilon: a budget for each sample (N,), instead of the one of ``threat``.
    starting_points: like ``inputs``, for attacks that take some.
    auxiliary: images that the attacker owns besides these, for attacks that learn from some.
    tracker: hears of every step; see :mod:`advplug.tracking`.
    progress: True shows how far it is on stderr, False does not, None does on a terminal and in a notebook once it has
        taken two seconds; or a function as in :data:`advplug.engine.problem.Progress`.
    options: fields of :class:`advplug.attack.Options`, such as ``seed``, ``restarts``, ``early_end``.

    Returns
    -------
    AttackResult: with eagerpy adversarials if the inputs were eagerpy.

    Raises
    ------
    InvalidInput: before any compute, for anything that cannot be attacked; the message says what to change.
    """
    unknown = options.keys() - {field.name for field in fields(Options)}
    if unknown:
        raise TypeError(f"unknown options {sorted(unknown)}: choose from {[field.name for field in fields(Options)]}")
    if threat is None:
        place = ", by name" if isinstance(labels, str | ThreatModel) else ""
        raise InvalidInput(f"threat is missing: give norm and budget{place}, such as threat='linf:8/255'")
    if tracker is not None:
        options["listen"] = tracker.of_attack(type(attack).__name__)
    x, y = tensors_of(inputs, labels, model)
    with imported(_STEPS_OF)(progress, type(attack).__name__) as steps:
        problem = make_problem(
            model,
            x,
            y,
            threat,
            loss=loss,
            gradient=gradient,
            criterion=criterion,
            targets=as_tensor(targets),
            num_targets=num_targets,
            epsilon=as_tensor(epsilon),
            starting_points=as_tensor(starting_points),
            auxiliary=auxiliary,
            options=Options(**options, progress=steps),
        )
        result = run_attack(attack, problem)
    if isinstance(inputs, ep.Tensor):
        return replace(result, adversarials=wrap(result.adversarials))  # type: ignore[arg-type]
    return result


def evaluate(
    model: Job | Any,
    data: Any = None,
    threat: ThreatModel | str | None = None,
    attacks: Any = "standard",
    *,
    losses: Any = None,
    gradients: Any = None,
    criterion: Criterion | str | None = None,
    restarts: int = 1,
    targets: Literal["each"] | int | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: Any = "cpu",
    batch_size: int | None = None,
    bounds: tuple[float, float] | None = None,
    sweep: int | Sequence[float] = (),
    auxiliary: Any = None,
    name: str | None = None,
    run_dir: str | Path | None = None,
    diagnose: Literal["quick", "full"] = "quick",
    draws: int = 16,
    report: bool = True,
    progress: bool | Watch | None = None,
    tracker: Tracker | str | None = None,
    workers: int | Literal["auto"] | None = None,
    executor: Executor | str | None = None,
    manager: Manager | None = None,
    watch: Watch | None = None,
    tell: Callable[[str], object] | None = None,
) -> Evaluation:
    """Attack a model and judge every success: what ``advplug evaluate`` does, with the same rows and run directory.

    Texts mean what they mean on the command line.

    Parameters
    ----------
    model: any ``torch.nn.Module`` from inputs to logits, a function of inputs, ``"package.module:name"``,
        ``"timm:NAME"``, ``"hf:FOLDER"``, or a defense plugin as ``"name:preset"``, which brings data and threat model
        of its own. Or a Job, which says all of this.
    data: inputs (N, ...) and labels (N,) as tensors or arrays, a ``torch.utils.data`` Dataset or DataLoader, a dataset
        of Hugging Face, :class:`advplug.Images`, a file, a folder, ``"package.module:name"``, or a data plugin as
        ``"mnist:shipped"``.
    threat: ``"linf:8/255"``, ``"l2:min"`` for the least distance, or a ThreatModel.
    attacks: one or several: names of plugins, pairs such as ``("pgd", {"steps": 100})``, attacks such as
        ``PGD(steps=100)``, or recipes.
    losses, gradients: names as on the command line, or losses and gradient estimators; each attack runs once with each.
    criterion: what counts as a success, as on the command line, or a criterion; the goal of the threat model, past the
        detector, unless given.
    restarts, targets, batch_size: as on the command line.
    limit: how many samples, drawn evenly across the classes; 0 for all. Where it is None, all that are passed, and 100
        of data that is named.
    bounds: range of the inputs, (0, 1) unless the model or a ThreatModel says otherwise; pixels are rescaled to it.
    sweep: smaller budgets at which every attack runs as well, or into how many even steps to divide the budget.
    auxiliary: images that the attacker owns besides, as ``data``, for attacks that learn from some.
    name: of the model in tables.
    run_dir: directory that is written and resumed from, with a page ``report.html`` if ``report``; None writes nothing.
    diagnose, draws: how much the diagnostics may cost, and the fresh draws of a random model, as on the command line.
    progress: True shows how far it is on stderr, False does not, None does on a terminal and in a notebook; or a
        function as in :data:`advplug.evaluation.problems.Watch`.
    tracker: hears of every step: a :class:`advplug.tracking.Tracker`, or text such as ``"csv:steps.csv"``.
    workers, executor: how many processes work on it, and where, as on the command line; this one alone unless given.
    manager, watch, tell: for hosts that embed advplug; see :func:`advplug.evaluation.evaluate`.

    Raises
    ------
    InvalidInput: before any attack runs, for anything that cannot be attacked; the message says what to change.
    UnknownPlugin, BrokenPlugin, MissingWeights, DataUnavailable: what is named is not to be had.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    manager = manager or default_manager()
    given = {
        "data": data, "threat": threat, "attacks": attacks, "losses": losses, "gradients": gradients,
        "criterion": criterion,
        "restarts": restarts, "targets": targets, "limit": limit, "seed": seed, "device": device,
        "batch_size": batch_size, "bounds": bounds, "sweep": sweep, "auxiliary": auxiliary, "name": name,
        "run_dir": None if run_dir is None else Path(run_dir), "diagnose": diagnose, "draws": draws,
    }  # fmt: skip
    place: Executor = imported(_EXECUTOR_OF)(executor, workers, tracker)
    build: Callable[[], Job] | None = None
    if isinstance(model, Job):
        _refuse_beside_a_job(given)
        job = model
    else:
        job, build = imported(_JOB_OF)(imported(_CALL)(model=model, **given), manager)
    with (
        tracking(tracker, manager) as listener,
        imported(_PROGRESS_OF)(watch or progress, len(job.recipes)) as shown,
    ):
        job = job if listener is None else replace(job, tracker=listener)
        evaluation = evaluate_job(job, manager=manager, watch=shown, tell=tell, executor=place, build=build)
        if listener is not None:
            listener.finish(evaluation)
    if report and evaluation.run_dir is not None and not isinstance(model, Job):
        try:
            imported(_WRITE_REPORT)(evaluation)
        except OSError as error:  # a full disk costs the page, and not what was computed
            warnings.warn(f"report.html was not written ({error.strerror or error})", stacklevel=2)
    return evaluation


_OF_A_JOB = {
    "data": None, "threat": None, "attacks": "standard", "losses": None, "gradients": None, "criterion": None,
    "restarts": 1, "targets": None, "limit": None, "seed": 0, "device": "cpu", "batch_size": None, "bounds": None, 
    "sweep": (), "auxiliary": None, "name": None, "run_dir": None, "diagnose": "quick", "draws": 16,
}  # fmt: skip
"""What says nothing beside a job."""


def _refuse_beside_a_job(given: dict[str, Any]) -> None:
    extra = [name for name, value in given.items() if value is not _OF_A_JOB[name] and value != _OF_A_JOB[name]]
    if extra:
        raise InvalidInput(f"{', '.join(extra)} beside a job: set it in the job, as in dataclasses.replace(job, ...)")
