"""How far a job is, on stderr: bars on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from advplug.cli import _console

if TYPE_CHECKING:
    from advplug.engine.problem import Progress as Steps
    from advplug.evaluation.problems import Watch

EVERY = 60.0
"""Seconds between two lines of a job that says nothing else."""

Clock = Callable[[], float]
Step = Callable[[int, int, Mapping[str, float]], None]
"""``step(done, total, {"loss": 0.1})``: shows how far a job is."""


class Pulse:
    """When the next line is due, and how long the job has taken and may take yet."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.start = self.pass_start = self.last = self.at = clock()
        self.before = 0

    def due(self) -> bool:
        """Whether the last line is :data:`EVERY` seconds old; if so the next one counts from now."""
        if self.clock() - self.last < EVERY:
            return False
        self.last = self.clock()
        return True

    @property
    def elapsed(self) -> str:
        """Time since the job began."""
        return duration(self.clock() - self.start)

    def times(self, done: int, total: int) -> str:
        """Time so far, and the rest if every further step takes as long as those of this pass."""
        if done < self.before:  # the next budget of a sweep counts from 0
            self.pass_start = self.at
        self.before, self.at = done, self.clock()
        if not 0 < done < total:
            return self.elapsed
        left = (self.clock() - self.pass_start) / done * (total - done)
        return f"{self.elapsed}, at most about {duration(left)} left"


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.1 s, 45 s, 2 min, 3 h 20 min."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def watching(attacks: int, clock: Clock = time.perf_counter) -> Iterator[Watch]:
    """Progress of so many attacks: bars on a terminal, elsewhere lines, at least one a minute."""
    if _console.err().is_terminal:
        with _bars() as show:
            yield show
        return
    lines = _Lines(clock)
    try:
        yield lines.watch
    except BaseException:
        lines.end("stopped")
        raise
    lines.end("done")
    if lines.started < attacks:
        click.echo(f"{attacks - lines.started} of {attacks} attacks read from the run directory", err=True)


@contextmanager
def watching_one(name: str, *, after: float = 2.0, clock: Clock = time.perf_counter) -> Iterator[Steps]:
    """Progress of one attack, shown once it has taken ``after`` seconds: short ones print nothing."""
    start, show = clock(), None
    with ExitStack() as shown:

        def progress(done: int, total: int, alive: int) -> None:
            nonlocal show
            if show is None and clock() - start >= after:
                show = shown.enter_context(watching(1, clock))
                show(name, 0, 0, alive)
            if show is not None:
                show(name, done, total, alive)

        yield progress


class _Lines:
    """``name: 100 samples ... done, 2 min`` on one line, or on several where it takes minutes."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.started = clock, 0
        self.pulse: Pulse | None = None
        self.name = ""
        self.alone = True  # whether the cursor still stands behind "..."

    def watch(self, name: str, done: int, total: int, alive: int) -> None:
        if total == 0:
            self.end("done")
            self.name, self.pulse, self.alone = name, Pulse(self.clock), True
            self.started += 1
            click.echo(f"{name}: {alive} samples ...", err=True, nl=False)
        elif self.pulse is not None:
            times = self.pulse.times(done, total)
            if self.pulse.due():
                self._line(f"{done}/{total} steps, {alive} samples standing, {times}")

    def end(self, word: str) -> None:
        if self.pulse is not None:
            text = f"{word}, {self.pulse.elapsed}"
            if self.alone:
                click.echo(f" {text}", err=True)
            else:
                self._line(text)
            self.pulse = None

    def _line(self, text: str) -> None:
        if self.alone:
            click.echo(err=True)
            self.alone = False
        click.echo(f"{self.name}: {text}", err=True)


@contextmanager
def _bars() -> Iterator[Watch]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    state = TextColumn("{task.fields[state]}")
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), state, TimeElapsedColumn(),
        console=_console.err(),
    )  # fmt: skip
    jobs: list[TaskID] = []

    def end() -> None:
        if jobs:
            total = bars.tasks[-1].total or 1
            bars.update(
                jobs[-1], completed=total, total=total, state="done"
            )  # most attacks stop before their last step
            bars.stop_task(jobs[-1])

    def watch(name: str, done: int, total: int, alive: int) -> None:
        if total == 0:
            end()
            jobs.append(bars.add_task(name, total=None, state=f"{alive} standing"))
        else:
            bars.update(jobs[-1], completed=done, total=total, state=f"{alive} standing")

    with bars:
        yield watch
        end()


@contextmanager
def progress(title: str, *, short: bool = False, clock: Clock = time.perf_counter) -> Iterator[Step]:
    """A progress bar on stderr; away from a terminal a line per step, or one a minute for a job of ``short`` steps."""
    console = _console.err()
    if not console.is_terminal:
        yield _line_of(title, short, Pulse(clock))
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),  # else emoji, which rich reads out of plain words
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[values]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        job = bar.add_task(title, total=None, values="")
        yield lambda done, total, values: bar.update(job, completed=done, total=total, values=_values(values))


def _line_of(title: str, short: bool, pulse: Pulse) -> Step:
    def line(done: int, total: int, values: Mapping[str, float]) -> None:
        if pulse.due() or not short:
            text = f"{title} {done}/{total} {_values(values)}".rstrip()
            click.echo(f"{text}, {pulse.times(done, total)}", err=True)

    return line


def _values(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())
