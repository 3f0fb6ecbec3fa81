"""Every hook that a plugin may implement. Imports pluggy and nothing heavier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from advplug.records import Evaluation, Finding, Job, Section
    from advplug.specs import (
        AdaptiveSpec,
        AttackSpec,
        CriterionSpec,
        DatasetSpec,
        DefenseSpec,
        GradientSpec,
        LossSpec,
        TrackerSpec,
    )

API_VERSION = 1
"""Version of the hooks and of the classes behind them; a spec whose ``api`` is higher is refused."""

hookspec = pluggy.HookspecMarker("advplug")
hookimpl = pluggy.HookimplMarker("advplug")


# --- what a plugin brings: called once at discovery, must be cheap, must not import torch ---


@hookspec
def advplug_attacks() -> Iterable[AttackSpec]:  # type: ignore[empty-body]
    """The attacks of this distribution."""


@hookspec
def advplug_defenses() -> Iterable[DefenseSpec]:  # type: ignore[empty-body]
    """The defenses of this distribution."""


@hookspec
def advplug_adaptive() -> Iterable[AdaptiveSpec]:  # type: ignore[empty-body]
    """The adaptive attacks of this distribution, each naming the defense it breaks."""


@hookspec
def advplug_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """The data sets of this distribution."""


@hookspec
def advplug_trackers() -> Iterable[TrackerSpec]:  # type: ignore[empty-body]
    """The trackers of this distribution: where ``--track NAME:TARGET`` writes the steps of a run."""


@hookspec
def advplug_losses() -> Iterable[LossSpec]:  # type: ignore[empty-body]
    """The losses of this distribution: words for ``--losses``."""


@hookspec
def advplug_gradients() -> Iterable[GradientSpec]:  # type: ignore[empty-body]
    """The gradient estimators of this distribution: words for ``--gradients``."""


@hookspec
def advplug_criteria() -> Iterable[CriterionSpec]:  # type: ignore[empty-body]
    """The criteria of this distribution: words for ``--criterion``."""


# --- what a plugin does around a job: never once per batch or per step ---


@hookspec
def advplug_evaluate(job: Job) -> Evaluation | None:
    """Run one evaluation instead of the host, for example on other machines.

    Plugins are asked one after the other, and the first Evaluation is taken. One that returns None passes; one that
    raises or returns anything else is a failure of its own, and the next one is asked. The host answers last.
    """


@hookspec
def advplug_diagnose(job: Job, evaluation: Evaluation) -> Iterable[Finding]:  # type: ignore[empty-body]
    """Findings about a finished evaluation, such as signs of gradient masking."""


@hookspec
def advplug_report_sections(evaluation: Evaluation) -> Iterable[Section]:  # type: ignore[empty-body]
    """Extra sections for the HTML report of a finished evaluation.

    ``advplug.report.figure_section`` makes one of a figure; ``advplug.report.rebuilt`` gives the evaluated model of a
    defense with the samples, to measure what is drawn.
    """
