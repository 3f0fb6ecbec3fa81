"""Trackers by name: ``csv:FILE``, or a tracker plugin as ``NAME[:TARGET]``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from advplug.errors import InvalidInput
from advplug.plugins.host import describe
from advplug.plugins.manager import Manager

if TYPE_CHECKING:
    from advplug.tracking import Step, Tracker


def read_tracker(text: str, manager: Manager) -> Tracker:
    """The tracker that ``text`` names.

    Raises
    ------
    UnknownPlugin, BrokenPlugin: there is none of that name, or its library is not installed.
    InvalidInput: it names no file.
    """
    from advplug.tracking import CsvTracker

    name, _, target = text.partition(":")
    if name != "csv":
        tracker: Tracker = manager.load(f"tracker:{name}")(target)
        return tracker
    if not target:
        raise InvalidInput(f"tracker {text!r} names no file: write csv:FILE")
    return CsvTracker(target)


@contextmanager
def tracking(tracker: Tracker | str | None, manager: Manager) -> Iterator[Tracker | None]:
    """The tracker, open; None for nobody. One that a text names is closed at the end.

    One that a text names and that fails on the way costs its steps, and not the run: a warning says so. What a tracker
    of the caller's own raises is the caller's.

    Raises
    ------
    InvalidInput: neither a text nor a tracker, or it cannot write where it is told to.
    """
    if tracker is None:
        yield None
        return
    from advplug.tracking import Tracker

    if isinstance(tracker, str):
        named = read_tracker(tracker, manager)
        named.open()
        guarded = _guarded(tracker, named)
        try:
            yield guarded
        finally:
            guarded.close()
    elif isinstance(tracker, Tracker):
        tracker.open()
        yield tracker
    else:
        raise InvalidInput(f"tracker is {tracker!r}: give text such as 'csv:steps.csv', or a Tracker")


def _guarded(name: str, tracker: Tracker) -> Tracker:
    """``tracker``, which falls silent with a warning at its first failure."""
    from advplug.tracking import Tracker

    class Guarded(Tracker):
        failed = False

        def step(self, step: Step) -> None:
            self._safely(lambda: tracker.step(step))

        def finish(self, evaluation: Any) -> None:
            self._safely(lambda: tracker.finish(evaluation))

        def close(self) -> None:
            self._safely(tracker.close)

        def _safely(self, call: Callable[[], None]) -> None:
            if self.failed:
                return
            try:
                call()
            except Exception as error:  # whatever a library says of a full disk or a lost server
                self.failed = True
                warnings.warn(f"{name} failed ({describe(error)}): the run goes on without it", stacklevel=3)

    return Guarded()
