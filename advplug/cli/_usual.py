"""What ``advplug evaluate`` runs where nobody names an attack: the standard suite, then a search within a budget."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from advplug.cli import _console
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager

if TYPE_CHECKING:
    from advplug.attack import Problem, Stage
    from advplug.evaluation import Job

DEFAULT = "2x"
"""The time budget unless one is given: about as many passes for the search as the suite took."""

STEP = 0.5
"""Seconds become a multiple of the suite in steps of this size, so that a little noise of the clock changes nothing."""

LEAST = 1.5
"""Smallest multiple that leaves room for a search."""

MOST = 100.0
"""Largest one that seconds become: a search ends with its trials long before."""

NEAREST = {"linf": "pdpgd,fab", "l2": "pdpgd,fab", "l1": "pdpgd,fmn", "l0": "pdpgd,fmn"}
"""Attacks that come nearest together under each norm, where the least distance is asked for: docs/minimum-norm.md."""

_SEARCH, _SUITE, _SCORES_ALONE = "auto", "standard", "square"
_MULTIPLE = re.compile(r"(\d+(?:\.\d+)?)x")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s?")
_ASKED, _STEPS, _MEASURED = 64, 10, 3  # samples and steps of what is timed, and how often


class Usual(NamedTuple):
    """Attacks, losses and settings, as the command line names them."""

    attacks: str
    losses: str | None = None
    settings: tuple[str, ...] = ()


def usual(
    budget: str | None, losses: str | None, threat: str | None, build: Callable[[Usual], Job], manager: Manager
) -> Usual:
    """What runs without ``--attacks``; ``build`` makes a job, whose model is timed where the budget is in seconds.

    Raises
    ------
    InvalidInput: a budget that is none, or losses, which nothing here takes.
    """
    if losses is not None:
        raise InvalidInput("--losses needs an attack that takes them: name one, such as --attacks pgd")
    if budget is not None and not _SECONDS.fullmatch(budget.strip()):
        read_multiple(budget)
    installed = {spec.name for spec in manager.specs("attack")}
    norm, _, epsilon = (threat or "").partition(":")
    if epsilon.strip() == "min" and norm in NEAREST:
        return _nearest(norm, budget, installed)
    if _SUITE not in installed or (threat or "").partition(":")[0] == "l0":
        why = "does not work under l0" if _SUITE in installed else "is not installed: pip install advplug-attack-auto"
        _console.warn(f"pgd runs, on cross-entropy and on the margin: standard, which would run first, {why}")
        return _WITHOUT_SUITE
    missing = "advplug-attack-auto" if _SEARCH not in installed else "" if find_spec("optuna") else "'advplug[search]'"
    if missing:
        _console.warn(f"standard runs, and no search after it: pip install {missing}")
        return Usual(_SUITE)
    multiple = read_multiple(as_multiple(budget or DEFAULT, lambda: build(Usual(_SEARCH))))
    return Usual(_SEARCH, settings=(f"{_SEARCH}.cost={cost_of(multiple):.4g}",))


def _nearest(norm: str, budget: str | None, installed: Collection[str]) -> Usual:
    """The attacks that look for the least distance, of those that are installed."""
    if budget is not None:
        raise InvalidInput(f"--time-budget is for a search within a budget, and {norm}:min has none: leave it out")
    wanted = NEAREST[norm].split(",")
    missing = " ".join(f"advplug-attack-{name}" for name in wanted if name not in installed)
    found = [name for name in wanted if name in installed]
    if not found:
        raise InvalidInput(f"no attack for the least distance under {norm} is installed: pip install {missing}")
    if missing:
        _console.warn(f"{', '.join(found)} runs alone; together with others it comes nearer: pip install {missing}")
    return Usual(",".join(found))


_WITHOUT_SUITE = Usual("pgd", "cross-entropy,margin")


def cost_of(multiple: float) -> float:
    """The cost limit of the search for the first sentence, if suite and search take ``multiple`` of the suite."""
    from advplug.composition.plan import LATER

    return (multiple - 1) / sum(LATER)


def read_multiple(text: str) -> float:
    """The number in ``2x``.

    Raises
    ------
    InvalidInput: it is none, or below 1.
    """
    found = _MULTIPLE.fullmatch(text.strip())
    if found is None or float(found[1]) < 1:
        raise InvalidInput(f"--time-budget {text}: write a multiple of what standard takes, from 1x on, or seconds")
    return float(found[1])


def as_multiple(text: str, build: Callable[[], Job]) -> str:
    """``text`` if it is a multiple; seconds as the multiple that they are worth on this machine, which one line names.

    A few steps of the suite are timed on some of the samples. It is taken to last as long as on samples that none of
    its attacks breaks, so that the run takes no longer than it may.

    Raises
    ------
    InvalidInput: neither a multiple nor a number of seconds.
    """
    seconds = _SECONDS.fullmatch(text.strip())
    if seconds is None:
        read_multiple(text)
        return text.strip()
    job = build()
    longest = _longest(job)
    multiple = min(MOST, max(1.0, math.floor(float(seconds[1]) / longest / STEP) * STEP))
    if multiple < LEAST:
        multiple = 1.0
        _console.warn(
            f"--time-budget {text}: standard alone may take {longest:,.0f} s here, so that no search follows: "
            "raise it, or lower --limit"
        )
    _console.warn(f"--time-budget {text}: taken as {multiple:g}x here; with --time-budget {multiple:g}x the figures "
                  "are the same on every machine")  # fmt: skip
    return f"{multiple:g}x"


def _longest(job: Job) -> float:
    """Seconds of the suite on the samples of ``job`` if it breaks none of them."""
    from advplug.evaluation.problems import as_findings, problem_of

    (recipe,) = job.recipes
    with as_findings():
        problem = problem_of(job, recipe)
        stages = recipe.attack.stages(problem) or ()
        passes = sum(stage.planned_steps * (1 if stage.name == _SCORES_ALONE else 2) for stage in stages)
        return passes * _seconds_of_a_pass(problem, stages[0])


def _seconds_of_a_pass(problem: Problem, stage: Stage) -> float:
    """What one pass takes over all samples, in a few steps of the first stage on some of them; of several the least."""
    import torch

    from advplug.engine.stages import run_attack

    rows = torch.arange(min(_ASKED, len(problem.inputs)), device=problem.inputs.device)
    options = replace(problem.options, early_end=False, progress=None)
    few = replace(stage.problem.at(rows), options=options)
    times = []
    for _ in range(_MEASURED):
        start = time.perf_counter()
        run_attack(replace(stage.attack, steps=_STEPS), few)  # type: ignore[type-var]
        times.append(time.perf_counter() - start)
    return min(times) / (2 * _STEPS) * len(problem.inputs) / len(rows)
