"""The list of conformance checks, and how they run. Imports torch only with the checks of a kind that needs it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from advplug.errors import UnknownPlugin
from advplug.plugins.host import describe
from advplug.plugins.manager import KINDS, Manager, using
from advplug.specs import split_key
from advplug.testing.subject import NotApplicable, Subject, require

__all__ = ["Check", "NotApplicable", "Outcome", "checks_for", "require", "run_check", "run_checks"]

Function = Callable[[Subject], None]

GROUPS = {kind: ("common", kind) for kind in KINDS} | {"baseline": ("common",)}
"""Modules ``advplug.testing.checks_*`` that hold the checks of each kind; another library's attack has no own ones."""


@dataclass(frozen=True)
class Check:
    """One check.

    Parameters
    ----------
    name: as in test ids, ``respects_epsilon``.
    kind: kind of plugin it belongs to, ``common`` for all.
    function: takes a :class:`Subject`; raises AssertionError with what to mend, or :class:`NotApplicable`.
    slow: takes more than a few seconds; ``--quick`` leaves it out.
    """

    name: str
    kind: str
    function: Function
    slow: bool = False

    def __call__(self, subject: Subject) -> None:
        """Run it; raises what ``function`` raises."""
        with using(subject.manager), _apart():
            self.function(subject)

    @property
    def description(self) -> str:
        """What it demands, in one line."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True)
class Outcome:
    """Result of one check; ``message`` says what to mend, or why it was skipped, and is empty if it passed."""

    check: Check
    status: Literal["passed", "failed", "skipped"]
    message: str
    seconds: float
    traceback: str = ""


def checks_for(name: str) -> tuple[Check, ...]:
    """The checks of the plugin ``kind:name``, in the order they run. It need not be installed.

    Raises
    ------
    UnknownPlugin: there is no such kind.
    """
    _, kind, _ = split_key(name, KINDS)
    if kind not in GROUPS:
        raise UnknownPlugin(f"no plugin {name!r}: write kind:name, the kind one of {', '.join(KINDS)}")
    return tuple(check for group in GROUPS[kind] for check in _of_group(group))


def run_checks(
    name: str, *, manager: Manager | None = None, quick: bool = False, only: Iterable[str] | None = None
) -> list[Outcome]:
    """Run the checks of a plugin, without pytest.

    Parameters
    ----------
    name: ``kind:name``, or ``distribution:kind:name``.
    manager: where it is found; None for the installed plugins.
    quick: leave out the slow checks.
    only: names of the checks to run; None for all.

    Raises
    ------
    UnknownPlugin: no such plugin.
    BrokenPlugin: its distribution could not be loaded.
    """
    subject = Subject(name, manager, quick=quick)
    subject.manager.find(name)
    chosen = None if only is None else set(only)
    return [
        run_check(check, subject)
        for check in checks_for(name)
        if not (quick and check.slow) and (chosen is None or check.name in chosen)
    ]


def run_check(check: Check, subject: Subject) -> Outcome:
    """Run one check; whatever it raises is its outcome, except KeyboardInterrupt."""
    start = time.perf_counter()
    status: Literal["passed", "failed", "skipped"] = "passed"
    message = trace = ""
    try:
        check(subject)
    except NotApplicable as reason:
        status, message = "skipped", str(reason)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and the panics of compiled extensions are failures, too
        status, trace = "failed", "".join(traceback.format_exception(error))
        message = str(error) if isinstance(error, AssertionError) and str(error) else describe(error)
    return Outcome(check, status, message, time.perf_counter() - start, trace)


def slow(function: Function) -> Function:
    """Mark a check as slow."""
    function.slow = True  # type: ignore[attr-defined]
    return function


@contextmanager
def _apart() -> Iterator[None]:
    """Keep what a check draws from the caller's generator, and let torch compute on one thread.

    On tiny tensors more threads mostly wait for each other.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def _of_group(group: str) -> list[Check]:
    """The functions ``check_*`` of a module, in the order they are defined."""
    module: Any = import_module(f"advplug.testing.checks_{group}")
    return [
        Check(name.removeprefix("check_"), group, function, getattr(function, "slow", False))
        for name, function in vars(module).items()
        if name.startswith("check_")
    ]
