"""The options that ``break`` and ``evaluate`` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from advplug.cli import _console
from advplug.cli._counts import BUDGETS, SEEDS, check_seed
from advplug.cli._paths import UserPath, refuse_empty, refuse_overwriting
from advplug.cli._workers import read_executor, read_share
from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from advplug.evaluation.executors import Executor

RUNS = Path("advplug-runs")

_OPTIONS = (
    _console.json_option,
    click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Samples; 0 for all."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random starts and the model's draws."),
    click.option("--device", default="cpu", show_default=True, help="Torch device."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Samples attacked at once; else as many as fit."),
    click.option("--executor", help="Where the attacks run: inline, processes, ray, ray:HOST:PORT or ray://HOST:PORT."),
    click.option("--workers", help="Processes that share the work, or auto: one for each GPU, or else for each core."),
    click.option("--threads", type=click.IntRange(1, 4096), help="Threads of each; the same number, the same bits."),
    click.option("--shard", help="i/n: work on share i of n only; advplug merge puts the shares together."),
    click.option("--epsilons", help="Smaller budgets to judge every attack at as well: 0.1,0.2 or 2/255,4/255."),
    click.option("--sweep", type=click.IntRange(2, BUDGETS), help="The same at N even steps up to the full budget."),
    click.option("--out", type=UserPath(), help=f"Run directory; otherwise one in {RUNS}."),
    click.option("--fresh", is_flag=True, help="Forget what the run directory holds instead of resuming."),
    click.option("--track", metavar="NAME:TARGET", help="Where steps go: csv:FILE, or a tracker plugin."),
    click.option("--report/--no-report", "report", default=True, help="Whether to write report.html."),
    click.option("--diagnose", type=click.Choice(["quick", "full"]), default="quick", show_default=True,
                 help="Diagnostics: full runs attacks of its own as well, on few samples."),
    click.option("--draws", type=click.IntRange(2, 1000), default=16, show_default=True,
                 help="Fresh draws of a random model that each adversarial is judged on."),
    click.option("--fail-on", type=click.Choice(["warn", "fail", "never"]), default="never", show_default=True,
                 help="Exit with 1 if a diagnostic says so, or fails."),
    click.option("--sarif", type=UserPath(), help="Write the findings into this file, as SARIF 2.1.0."),
    click.option("--junit", type=UserPath(), help="Write the findings into this file, as JUnit XML."),
)  # fmt: skip

_FILES = ("data", "auxiliary", "bounds", "mask", "threat", "weights")
"""Options of either command that may name a file of the user's."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``_OPTIONS`` say."""

    limit: int
    seed: int
    device: str
    batch_size: int | None
    executor: str | None
    workers: str | None
    threads: int | None
    shard: str | None
    epsilons: str | None
    sweep: int | None
    out: Path | None
    fresh: bool
    report: bool
    track: str | None
    as_json: bool
    diagnose: Literal["quick", "full"]
    draws: int
    fail_on: str
    sarif: Path | None
    junit: Path | None

    def read_executor(self) -> Executor:
        """Where the attacks run."""
        return read_executor(self.executor, self.workers, self.threads)


def shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that both commands take; ``command`` gets them as one parameter, ``options``."""

    @wraps(command)
    def gathered(*arguments: Any, **values: Any) -> Any:
        common = Options(**{field.name: values.pop(field.name) for field in fields(Options)})
        _check(common, {name: values.get(name) for name in _FILES})
        return command(*arguments, options=common, **values)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def _check(options: Options, files: Mapping[str, Any]) -> None:
    """Refuse what can be refused before a model is loaded: a seed that torch has not, a directory of no use, ""."""
    from advplug.evaluation.storage.run_directory import RunDirectory

    check_seed(options.seed)
    read_share(options.shard)
    options.read_executor()
    if options.limit >= SEEDS or (options.batch_size or 0) >= SEEDS:
        raise InvalidInput("--limit and --batch-size: give numbers of at most 63 bits, or 0 and nothing for all")
    refuse_empty(**files)
    directory = RunDirectory(options.out or RUNS)
    refuse_overwriting(directory, **files)
    if options.out is not None:
        directory.refuse_foreign()
    directory.try_place()
