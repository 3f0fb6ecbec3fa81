"""The search for an adaptive attack, called from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from advplug.composition.plan import Plan
from advplug.composition.run import Named
from advplug.composition.run import search as search_job
from advplug.evaluation.problems import Watch
from advplug.evaluation.storage.store import Tell
from advplug.plugins.manager import Manager, default_manager
from advplug.records.composition import Composition
from advplug.specs import imported
from advplug.threat import ThreatModel

__all__ = ["search"]

_JOB_OF, _PROGRESS_OF, _EXECUTOR_OF = (
    f"advplug.user_job:{name}" for name in ("search_job_of", "progress_of", "executor_of")
)


def search(
    model: Any,
    data: Any = None,
    threat: ThreatModel | str | None = None,
    *,
    trials: int = 64,
    samples: int = 100,
    sentences: int = 3,
    sampler: Literal["tpe", "random"] = "tpe",
    traced: bool = True,
    halving: bool = True,
    cost: float = 0.75,
    limit: int | None = None,
    seed: int = 0,
    device: Any = "cpu",
    batch_size: int | None = None,
    bounds: tuple[float, float] | None = None,
    name: str | None = None,
    workers: int | Literal["auto"] | None = None,
    executor: Any = None,
    run_dir: str | Path | None = None,
    progress: bool | Watch | None = None,
    manager: Manager | None = None,
    tell: Tell | None = None,
) -> Composition:
    """Search for the attack, loss, gradient and targets that break ``model``: what ``advplug search`` does.

    The standard suite runs first. Sentences are chosen on one half of the samples; what they leave is reported of both.

    Parameters
    ----------
    model, data, threat, limit, seed, device, batch_size, bounds, name: as in :func:`advplug.evaluate`.
    trials, samples, sentences, sampler, traced, halving, cost: the limits and switches of the search; see
        :class:`advplug.composition.Plan`.
    workers, executor: how many processes try sentences at a time, and where, as on the command line; this one alone
        unless given. The record does not depend on it.
    run_dir: directory that is written and resumed from; None writes nothing.
    progress: True shows how far it is on stderr, False does not, None does on a terminal and in a notebook; or a
        function as in :data:`advplug.evaluation.problems.Watch`.
    manager, tell: for hosts that embed advplug; ``tell`` hears of damaged files.

    Raises
    ------
    InvalidInput: before any attack runs, for anything that cannot be attacked; the message says what to change.
    UnknownPlugin, BrokenPlugin, MissingWeights, DataUnavailable: what is named is not to be had.
    NonFiniteLogits: the model returned NaN or infinite logits.
    """
    manager = manager or default_manager()
    plan = Plan(
        trials=trials, samples=samples, sentences=sentences, sampler=sampler, traced=traced, halving=halving, cost=cost,
        held_out=True,
    )  # fmt: skip
    given = {
        "model": model, "data": data, "threat": threat, "limit": limit, "seed": seed, "device": device,
        "batch_size": batch_size, "bounds": bounds, "name": name, "run_dir": None if run_dir is None else Path(run_dir),
    }  # fmt: skip
    place: dict[str, Any] = {"executor": imported(_EXECUTOR_OF)(executor, workers, None)}
    job, place["build"], texts = imported(_JOB_OF)(given, manager)
    with imported(_PROGRESS_OF)(progress, 1) as shown:
        return search_job(job, plan, named=Named(**texts), manager=manager, watch=shown, tell=tell, **place)
