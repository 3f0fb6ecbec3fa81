"""``advplug search MODEL``: the sentence of attack, loss, gradient and targets that breaks a model nobody has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from advplug.cli import _console, _evaluation, _model
from advplug.cli._counts import check_seed
from advplug.cli._device import usable_device
from advplug.cli._interrupts import interruptible
from advplug.cli._options import RUNS
from advplug.cli._order import Order
from advplug.cli._paths import UserPath, refuse_empty, refuse_overwriting
from advplug.cli._presets import preset_option, with_preset
from advplug.cli._progress import watching
from advplug.cli._workers import read_executor
from advplug.plugins.manager import default_manager

if TYPE_CHECKING:
    from advplug.composition.plan import Plan
    from advplug.composition.run import Named
    from advplug.evaluation import Job

_FILES = ("data", "threat", "bounds", "mask")
_GIVEN = ("bounds", "mask", "output")


@dataclass(frozen=True, kw_only=True)
class _Limits:
    """The options that :class:`advplug.composition.plan.Plan` takes."""

    trials: int
    samples: int
    sentences: int
    sampler: Literal["tpe", "random"]
    traced: bool
    halving: bool
    cost: float

    def plan(self) -> Plan:
        """The plan, which chooses on one half of the samples."""
        from advplug.composition import Plan

        return Plan(**{field.name: getattr(self, field.name) for field in fields(self)}, held_out=True)


_PLAN = (
    click.option("--trials", type=click.IntRange(min=1), default=64, show_default=True,
                 help="Sentences that are tried for each sentence of the sequence."),
    click.option("--samples", type=click.IntRange(min=1), default=100, show_default=True,
                 help="On how many samples, at most."),
    click.option("--sentences", type=click.IntRange(1, 3), default=3, show_default=True,
                 help="How many run one after the other, at most."),
    click.option("--sampler", type=click.Choice(["tpe", "random"]), default="tpe", show_default=True,
                 help="tpe learns from the trials before, random does not."),
    click.option("--traced/--no-traced", default=True, show_default=True,
                 help="Whether gradient networks take part."),
    click.option("--halving/--no-halving", default=True, show_default=True,
                 help="Whether the first trials see few samples, and the best of them more."),
    click.option("--cost", type=click.FloatRange(min=0), default=0.75, show_default=True,
                 help="Passes of the search as a multiple of those of standard."),
)  # fmt: skip


def _plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_PLAN):
        command = option(command)
    return command


@click.command("search")
@click.argument("model")
@preset_option
@click.option("--data", help="As in advplug evaluate.")
@click.option("--threat", help="norm:epsilon in the units of the input: linf:8/255, l2:0.5.")
@click.option("--bounds", help="Valid range of inputs, 0,1 if absent, as in advplug evaluate.")
@click.option("--mask", help="A file that is not zero where a value may change.")
@click.option("--output", help="Entry with the scores where the model answers with several, by name or number.")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Samples; 0 for all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the search, random starts and the model.")
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Samples attacked at once; else as many as fit.")
@_plan_options
@click.option("--executor", help="Where sentences are tried: inline, processes, ray, ray:HOST:PORT or ray://HOST:PORT.")
@click.option("--workers", help="Processes that try sentences at a time, or auto: one for each GPU, or else each core.")
@click.option("--threads", type=click.IntRange(1, 4096), help="Threads of each.")
@click.option("--out", type=UserPath(), help=f"Run directory; otherwise one in {RUNS}.")
@click.option("--fresh", is_flag=True, help="Forget what the run directory holds instead of resuming.")
@click.option("--report/--no-report", "report", default=True, help="Whether to write search.html and search.md.")
@_console.json_option
def command(
    *,
    model: str,
    preset: str | None,
    data: str | None,
    threat: str | None,
    bounds: str | None,
    mask: str | None,
    output: str | None,
    limit: int,
    seed: int,
    device: str,
    batch_size: int | None,
    executor: str | None,
    workers: str | None,
    threads: int | None,
    out: Path | None,
    fresh: bool,
    report: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Search for what breaks MODEL: standard first, then sentences of attack, loss, gradient and targets on the rest.

    MODEL is what advplug evaluate takes. The same command again goes on where an interrupted one stopped.
    """
    check_seed(seed)
    chosen = read_executor(executor, workers, threads)
    model = with_preset(model, preset, default_manager())
    values = {
        "model": model, "data": data, "threat": threat, "bounds": bounds, "mask": mask, "output": output,
        "limit": limit, "seed": seed, "device": device, "batch_size": batch_size,
    }  # fmt: skip
    _refuse({name: values[name] for name in _FILES}, out)
    order = Order(command="search", values=values, epsilons=None, sweep=None, diagnose="quick", draws=16)
    with interruptible(_evaluation.NOT_BEGUN):
        job = order()
    _evaluation.refuse_unfit(job)
    job = replace(job, run_dir=out or RUNS / f"search-{_evaluation.run_name(job)}", command=_console.command_line())
    place = {"executor": chosen, "build": order}
    _carry_out(job, _Limits(**limits).plan(), _named(job, values), place, fresh=fresh, report=report, as_json=as_json)


def job_of(*, limit: int, seed: int, device: str, batch_size: int | None, **source: Any) -> Job:
    """The job that the command names, with the search at its defaults; the parameters are its options."""
    from advplug.adaptive import Recipe
    from advplug.composition import Searching

    asked = _model.Source(**source, auxiliary=None, limit=limit or None, seed=seed)
    job = _model.read_job(
        asked, [Recipe(name="search", attack=Searching())], device=usable_device(device), manager=default_manager()
    )
    return replace(job, seed=seed, batch_size=batch_size)


def _refuse(files: dict[str, Any], out: Path | None) -> None:
    """Refuse what can be refused before a model is loaded."""
    from advplug.evaluation.storage.run_directory import RunDirectory

    refuse_empty(**files)
    directory = RunDirectory(out or RUNS)
    refuse_overwriting(directory, **files)
    if out is not None:
        directory.refuse_foreign()
    directory.try_place()


def _named(job: Job, values: dict[str, Any]) -> Named:
    from advplug.composition.run import Named

    options = {name: str(values[name]) for name in _GIVEN if values[name] is not None}
    options["limit"] = str(values["limit"])
    return Named(
        model=values["model"], data=values["data"] or "", threat=values["threat"] or str(job.threat), options=options
    )


def _carry_out(
    job: Job, plan: Plan, named: Named, place: dict[str, Any], *, fresh: bool, report: bool, as_json: bool
) -> None:
    from advplug.composition.run import search

    assert job.run_dir is not None
    with _evaluation.resumable(job.run_dir, fresh=fresh):
        if fresh:
            _evaluation.forget(job.run_dir)
        with watching(1) as watch:
            found = search(job, plan, named=named, watch=watch, tell=_console.warn, **place)
    if as_json:
        _console.print_json(found.to_json())
    else:
        from advplug.cli import _found

        _found.print_found(found, job.run_dir)
    if report:
        from advplug.report import write_search_report

        click.echo(f"report: {write_search_report(found, job.run_dir)}", err=as_json)
