"""Puts the page together and writes it whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from advplug.errors import InvalidInput
from advplug.evaluation.diagnostics import percent
from advplug.plugins.manager import default_manager
from advplug.records.evaluation import Evaluation
from advplug.records.files import replace_file
from advplug.records.section import Section
from advplug.report import summary
from advplug.report.figures import accuracy_curves, loss_curves, query_histogram
from advplug.report.images import gallery
from advplug.report.style import data_uri

ALT = {
    "Accuracy against budget": "Line chart of robust accuracy against the budget epsilon, one line per attack.",
    "Broken samples": "Grid of images: clean input, adversarial and their difference for each sample.",
    "Loss curves": "Small line charts of the attacker's loss against evaluations, one panel per attack.",
    "Queries to success": "Histograms of the queries spent on each broken sample, one panel per attack.",
}


@dataclass(frozen=True)
class Picture:
    """A section with a figure: ``image`` is a data URI, empty where ``caption`` says why there is none."""

    title: str
    image: str
    alt: str
    caption: str


def write_report(evaluation: Evaluation, path: Path | None = None) -> Path:
    """Write the page to ``path``, or to ``report.html`` in the evaluation's run directory, and return where it is.

    Raises
    ------
    InvalidInput: no path, and the evaluation has no run directory.
    """
    if path is None:
        if evaluation.run_dir is None:
            raise InvalidInput("the evaluation has no run directory: pass a path for the report")
        path = evaluation.run_dir / "report.html"
    html = render(evaluation)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda file: file.write_text(html, encoding="utf-8"))
    return path


def render(evaluation: Evaluation) -> str:
    """The page as HTML."""
    source = files("advplug.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        evaluation=evaluation,
        subject=summary.subject(evaluation),
        verdict=summary.verdict(evaluation),
        is_case=summary.is_case(evaluation),
        tiles=_tiles(evaluation),
        lines=summary.lines(evaluation),
        detects=evaluation.false_positives is not None,
        distances=summary.distance_columns(evaluation),
        remarks=summary.remarks(evaluation),
        sources=summary.sources(evaluation),
        pictures=list(_pictures(evaluation)),
        facts=_facts(evaluation),
        sections=default_manager().collect("advplug_report_sections", of=Section, evaluation=evaluation),
    )


def _tiles(evaluation: Evaluation) -> list[tuple[str, str, float, str]]:
    """The figures at the top: role for the colour, what it is, the share, its text."""
    baseline, best = summary.strongest_baseline(evaluation), summary.strongest(evaluation)
    shown = [("clean", "no attack", evaluation.clean_accuracy)]
    if baseline is not None and summary.is_case(evaluation):
        shown.append(("baseline", "strongest baseline", baseline.robust_accuracy))
    if best is not None:
        adapted = summary.is_case(evaluation)
        shown.append((best.role, "adaptive attack" if adapted else "strongest attack", best.robust_accuracy))
    return [(role, label, share, percent(share)) for role, label, share in shown]


def _pictures(evaluation: Evaluation) -> Iterator[Picture]:
    yield _picture(
        "Accuracy against budget",
        accuracy_curves(evaluation),
        "Markers: the attack was run with that budget. Thin dashes: the adversarials found were drawn back towards "
        "their clean inputs and judged again, which bounds from above what a run at that budget would leave.",
        "No attack recorded an accuracy at any budget.",
    )
    shown = gallery(evaluation)
    yield _picture("Broken samples", shown.figure, shown.caption, shown.caption)
    yield _picture(
        "Loss curves",
        loss_curves(evaluation),
        "Median and quartiles over the samples still in play; lower is better for the attacker. Samples leave when "
        "they are broken, so the median of those that stay may rise.",
        "No attack recorded its loss.",
    )
    yield _picture(
        "Queries to success",
        query_histogram(evaluation),
        "Forward passes that the search spent on each sample that it broke.",
        "Too few samples were broken, or all at the same cost.",
    )


def _picture(title: str, drawn: Figure | None, caption: str, reason: str) -> Picture:
    return Picture(title, "" if drawn is None else data_uri(drawn), ALT[title], reason if drawn is None else caption)


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The environment as pairs of name and value."""
    environment = dict(evaluation.environment)
    versions = environment.pop("versions", {})
    plugins = environment.pop("plugins", {})
    facts = [(str(name), str(value)) for name, value in environment.items()]
    facts += [(str(name), str(version)) for name, version in versions.items()]
    for key, source in plugins.items():
        facts.append((str(key), f"{source.get('distribution', '')} {source.get('version', '')}".strip()))
    return facts
