"""What a search found, read back so that a case can be made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from advplug.cli._hand_over_model import model_source
from advplug.cli._hand_over_plans import Found, Place, adaptive_plan, defense_plan, samples_plan
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager
from advplug.records.composition import Composition, Sentence
from advplug.records.search_file import read_search
from advplug.scaffold import Plan

if TYPE_CHECKING:
    from advplug.evaluation import Job

_ABSENT = ("surrogate", "mask", "auxiliary")


def case_of(run: Path, place: Place, manager: Manager) -> tuple[list[Plan], list[str]]:
    """The distributions of the case, and what else their author should know.

    Raises
    ------
    InvalidInput: ``run`` is no search, it found nothing, or what it attacked cannot be named in code.
    """
    search = read_search(run)
    if not search.sentences:
        raise InvalidInput(f"{run} found nothing better than standard: there is no sentence to hand over")
    jobs = [_job_of(run, search, sentence) for sentence in search.sentences]
    job = jobs[0]
    if not job.threat.uniform or job.threat.epsilon is None:
        raise InvalidInput(f"{run}: bounds and budgets from files are not handed over: search without them")
    source = model_source(search.model, f"advplug_defense_{place.name}".replace("-", "_"), manager)
    source = replace(source, output=search.options.get("output"))
    data, split = _plugin_of(search, job, manager)
    found = Found(
        search=search, jobs=jobs, source=source, data=data or place.name, split=split or "searched", place=place,
        manager=manager,
    )  # fmt: skip
    plans = [] if data else [samples_plan(found)]
    return [*plans, defense_plan(found), adaptive_plan(found)], list(source.notes)


def _job_of(run: Path, search: Composition, sentence: Sentence) -> Job:
    """What ``advplug evaluate`` makes of one sentence, on the samples of the search."""
    from advplug.cli.evaluate import job_of

    options = search.options
    if "mask" in options:
        raise InvalidInput(f"{run}: --mask is not handed over: search without it")
    return job_of(
        model=search.model,
        data=search.data or None,
        threat=search.threat,
        bounds=options.get("bounds"),
        output=options.get("output"),
        limit=int(options.get("limit", search.together.samples)),
        seed=search.seed,
        attacks=sentence.attack,
        losses=sentence.loss,
        gradients=sentence.gradient,
        settings=[f"{sentence.attack}.{name}={value!r}" for name, value in sentence.settings.items()],
        restarts=sentence.restarts,
        targets=sentence.targets,
        device="cpu",
        batch_size=None,
        **dict.fromkeys(_ABSENT),
    )


def _plugin_of(search: Composition, job: Job, manager: Manager) -> tuple[str, str]:
    """The data plugin and the split whose first samples are those of the search, ("", "") where none has them."""
    import torch

    name, _, split = search.data.removeprefix("data:").partition(":")
    if not name:
        defense, _, preset = search.model.partition(":")
        presets = manager.load(f"defense:{defense}")().presets
        chosen = presets[preset or next(iter(presets))]
        name, split = chosen.data, chosen.test_split
    if not any(spec.name == name for spec in manager.specs("data")):
        return "", ""
    dataset = manager.load(f"data:{name}")()
    split = split or ("test" if "test" in dataset.splits else dataset.splits[0])
    if split not in dataset.splits:
        return "", ""
    first = dataset.load(split, len(job.images))
    return (name, split) if torch.equal(first.inputs, job.images.inputs) else ("", "")
