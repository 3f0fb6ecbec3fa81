"""Trials in other processes: the same record, nothing tried twice, and errors that say what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from searched_models import Behind, Deadly, Noisy, images, job_of, rounded, timeless

import advplug
from advplug.cli import run
from advplug.composition import Plan
from advplug.composition.run import Named, search
from advplug.errors import InvalidInput
from advplug.evaluation.executors import Executor, Labour, Processes, Ray
from advplug.evaluation.executors.base import WorkerLost
from advplug.records.composition import Composition, Trial

NAMED = Named(model="toy", data="images", threat="linf:0.08")
PLAN = Plan(trials=14, sentences=2, steps=10, held_out=True)
TWO = Processes(2, 1)


@pytest.mark.parametrize("model", [Behind(rounded), Noisy()], ids=["rounded", "random"])
def test_several_workers_give_the_record_of_one_process(model: torch.nn.Module) -> None:
    here, there = (search(job_of(model), PLAN, named=NAMED, executor=place) for place in (None, TWO))
    assert len(here.trials) > 4, "more than one round"
    assert timeless(there) == timeless(here)


def test_what_one_process_began_workers_end(tmp_path: Path) -> None:
    """The file of the trials is that of the process that was interrupted; none of its trials runs again."""
    whole = search(job_of(Behind(rounded)), PLAN, named=NAMED)
    heard: list[Trial] = []

    def interrupt(trial: Trial) -> None:
        heard.append(trial)
        if len(heard) == 3:
            raise KeyboardInterrupt

    job = job_of(Behind(rounded), run_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        search(job, PLAN, named=NAMED, heard=interrupt)
    again = search(job, PLAN, named=NAMED, executor=TWO)
    assert timeless(again) == timeless(whole)
    assert [trial.seconds for trial in again.trials[:3]] == [trial.seconds for trial in heard]


def test_a_worker_that_makes_another_model_is_refused() -> None:
    job = job_of(Behind(rounded))
    other = replace(job, model=job_of(Behind(lambda z: -z)).model)
    with pytest.raises(InvalidInput, match="answers otherwise"):
        search(job, PLAN, named=NAMED, executor=TWO, build=lambda: other)


def test_a_worker_that_dies_ends_the_search() -> None:
    with pytest.raises(WorkerLost, match="enough memory"):
        search(job_of(Deadly()), PLAN, named=NAMED, executor=TWO)


def test_an_executor_of_no_kind_that_it_knows_is_refused() -> None:
    class Other(Executor):
        def run(self, labour: Labour) -> NoReturn:
            raise AssertionError("it cannot try sentences")

    with pytest.raises(InvalidInput, match="cannot run on Other"):
        search(job_of(Behind(rounded)), PLAN, named=NAMED, executor=Other())


def test_actors_of_a_cluster_give_the_record_of_one_process() -> None:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False)
    try:
        here, there = (search(job_of(Behind(rounded)), PLAN, named=NAMED, executor=place) for place in (None, Ray()))
        assert timeless(there) == timeless(here)
        with pytest.raises(WorkerLost, match="enough memory"):
            search(job_of(Deadly()), PLAN, named=NAMED, executor=Ray())
    finally:
        ray.shutdown()


def test_the_command_line_and_python_take_workers(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that is named is made again by each worker; one that is not, here a model object, is sent there."""
    folder.write({"mine": "from searched_models import Behind, rounded\nhidden = Behind(rounded)\n"})
    data = images()
    np.savez(folder.path / "data.npz", x=data.inputs.numpy(), y=data.labels.numpy())
    given = [
        "search",
        "mine:hidden",
        "--data",
        "data.npz",
        "--threat",
        "linf:0.08",
        "--trials",
        "8",
    ]
    records = []
    for number in ("1", "2"):
        assert run([*given, "--workers", number, "--threads", "1", "--out", number, "--no-report", "--json"]) == 0
        records.append(json.loads(capsys.readouterr().out))
    here, there = (Composition.from_json({key: one[key] for key in one if key != "schema_version"}) for one in records)
    assert timeless(there) == timeless(here)
    model, pair = Behind(rounded), (data.inputs, data.labels)
    called = advplug.search(model, pair, "linf:0.08", trials=8, workers=2, progress=False)
    assert timeless(called)["trials"] == timeless(here)["trials"]
    assert run([*given, "--workers", "none"]) == 2
    assert "--workers none" in capsys.readouterr().err
