"""Several models or threat models in one command: a run for each pair, then one table of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from advplug.cli import _console, _evaluation, _verdict
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager

if TYPE_CHECKING:
    from advplug.cli._options import Options
    from advplug.cli._order import Order
    from advplug.evaluation import Evaluation, Job

_OF_ONE_RUN = ("shard", "sarif", "junit", "track")
"""Options that name one file, or one share, and do not say which run they mean."""


def carry_out(orders: Sequence[Order], options: Options, manager: Manager) -> None:
    """Do what was ordered, one run after the other, each in a directory of its own; print one table, or one document.

    Everything is checked before the first run. Below ``--out`` each run has a folder of its own.

    Raises
    ------
    InvalidInput: a pair of them that cannot run, two that are the same, or an option that is for a single run.
    """
    taken = [f"--{name}" for name in _OF_ONE_RUN if getattr(options, name) is not None]
    if taken:
        raise InvalidInput(f"{', '.join(taken)} is for a single run: name one model and one threat model")
    names = [_evaluation.run_name(_checked(order)) for order in orders]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidInput(f"two runs would be written as {twice[0]}: name different models and threat models")
    found: list[Evaluation] = []
    failed = False
    for order, name in zip(orders, names, strict=True):
        own = options if options.out is None else replace(options, out=options.out / name)
        evaluation = _evaluation.perform(order, own, manager, lambda one: _present(one, options))
        assert evaluation is not None  # that is so of a share, which was refused
        found.append(evaluation)
        failed = _verdict.is_bad(evaluation, own) or bool(evaluation.not_saved) or failed
    if options.as_json:
        _console.print_json({"evaluations": [evaluation.to_json() for evaluation in found]})
    else:
        _print(found)
    if failed:
        click.get_current_context().exit(1)


def _checked(order: Order) -> Job:
    """The job, which can run."""
    job = order()
    _evaluation.refuse_unfit(job)
    return job


def _present(evaluation: Evaluation, options: Options) -> None:
    """The page, and the table unless a document is to be printed at the end."""
    evaluation, page = _evaluation.with_page(evaluation, report=options.report)
    if not options.as_json:
        _evaluation.print_table(evaluation)
    _evaluation.say_where(page, err=options.as_json)
    if evaluation.not_saved:
        _console.warn(evaluation.not_saved)
    if not options.as_json:
        click.echo()


def _print(found: Sequence[Evaluation]) -> None:
    """One line for each run: accuracy before and after, and the attack that leaves the least."""
    from advplug.cli._figures import table_of
    from advplug.cli._table import WIDTH

    console = _console.out()
    heads = ("model", "threat model", "no attack", "all attacks", "median", "strongest")
    rows = list(map(_row, found))
    kept = [number for number in range(len(heads)) if any(row[number] for row in rows)]
    table = table_of([heads[number] for number in kept], ([row[number] for number in kept] for row in rows))
    console.print(table, width=None if console.is_terminal else WIDTH)


def _row(evaluation: Evaluation) -> tuple[str, ...]:
    from advplug.evaluation.diagnostics.signs import percent
    from advplug.report import summary, together

    left, best = together.accuracy(evaluation), evaluation.best
    nearest = together.median_and_mean(evaluation) if evaluation.epsilon is None else None
    return (
        summary.subject(evaluation),
        evaluation.threat,
        percent(evaluation.clean_accuracy),
        "" if left is None else percent(left),
        "" if nearest is None else f"{nearest[0]:.4g}",
        "" if best is None else best.name,
    )
