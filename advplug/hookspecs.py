"""Every hook that a plugin may implement. Imports pluggy and nothing heavier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from advplug.evaluation import Evaluation, Job
    from advplug.evaluation.diagnostics import Finding
    from advplug.report import Section
    from advplug.specs import AdaptiveSpec, AttackSpec, BaselineSpec, DatasetSpec, DefenseSpec

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
def advplug_baselines() -> Iterable[BaselineSpec]:  # type: ignore[empty-body]
    """Other libraries' attacks that a case may run as its weak evaluation."""


# --- what a plugin does around a job: never once per batch or per step ---


@hookspec(firstresult=True)
def advplug_evaluate(job: Job) -> Evaluation | None:
    """Run one evaluation. The host answers last; a plugin may wrap it (``wrapper=True``)."""


@hookspec
def advplug_diagnose(job: Job, evaluation: Evaluation) -> Iterable[Finding]:  # type: ignore[empty-body]
    """Findings about a finished evaluation, such as signs of gradient masking."""


@hookspec
def advplug_report_sections(evaluation: Evaluation) -> Iterable[Section]:  # type: ignore[empty-body]
    """Extra sections for the HTML report of a finished evaluation.

    ``figure_section`` in ``advplug.report.figure_section`` makes one of a figure; ``rebuilt`` in
    ``advplug.report.rebuilt`` gives the evaluated model of a defense with the samples, to measure what is drawn.
    """


@hookspec
def advplug_register_commands(cli: click.Group) -> Any:
    """Add commands to the ``advplug`` command line. Called when the command line starts."""
