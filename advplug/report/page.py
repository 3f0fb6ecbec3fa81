"""Puts the page together and writes it whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from advplug.errors import InvalidInput
from advplug.evaluation.diagnostics.signs import percent
from advplug.plugins.manager import default_manager
from advplug.records.evaluation import Evaluation
from advplug.records.section import Section
from advplug.report import summary, together
from advplug.report.checklist import answers, checklist
from advplug.report.curves import security_curve
from advplug.report.deployed import draw_intervals, roc_curves
from advplug.report.diagnoses import counted, diagnoses
from advplug.report.images import gallery
from advplug.report.landscape_figures import margin_lines, margin_planes
from advplug.report.looks import Look, looks
from advplug.report.picture import Picture, Player
from advplug.report.queries import query_histogram
from advplug.report.reproduce import facts
from advplug.report.style import data_uri
from advplug.report.templates import filled, written
from advplug.report.traces import loss_curves, restart_curves

PICTURES: tuple[Callable[[Evaluation], Picture], ...] = (
    security_curve, gallery, loss_curves, restart_curves, margin_lines, margin_planes, query_histogram, draw_intervals,
    roc_curves,
)  # fmt: skip
"""In the order of the page."""


@dataclass(frozen=True)
class Shown:
    """A picture as the page takes it: ``image`` is a data URI, empty where ``caption`` says why there is none."""

    title: str
    image: str
    alt: str
    caption: str
    players: tuple[Player, ...] = ()


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
    return written(render(evaluation), path)


def render(evaluation: Evaluation) -> str:
    """The page as HTML."""
    found = diagnoses(evaluation)
    return filled(
        "page.html.j2",
        title=f"{summary.subject(evaluation)} under {evaluation.threat}",
        evaluation=evaluation,
        verdict=summary.verdict(evaluation),
        is_case=summary.is_case(evaluation),
        tiles=_tiles(evaluation),
        lines=_lines(evaluation),
        long=together.LONG,
        roles=any(summary.role_of(row, evaluation) != "attack" for row in evaluation.rows),
        detects=evaluation.false_positives is not None,
        publishes=any(row.published is not None for row in evaluation.rows),
        distances=summary.distance_columns(evaluation),
        remarks=summary.remarks(evaluation),
        sources=summary.sources(evaluation),
        pictures=[shown(draw(evaluation)) for draw in PICTURES],
        diagnoses=found,
        counted=counted(found),
        checklist=checklist(evaluation),
        answers=answers(evaluation),
        facts=facts(evaluation),
        sections=default_manager().collect("advplug_report_sections", of=Section, evaluation=evaluation),
    )


def shown(picture: Picture) -> Shown:
    """``picture`` with its figure as a data URI."""
    image = "" if picture.figure is None else data_uri(picture.figure)
    return Shown(picture.title, image, picture.alt, picture.caption, picture.players)


def _lines(evaluation: Evaluation) -> list[tuple[summary.Line, Look | None]]:
    """The lines of the table, those of attacks with their looks."""
    own: list[Look | None] = [None, *looks(evaluation)]
    lines = summary.lines(evaluation)
    return list(zip(lines, own + [None] * (len(lines) - len(own)), strict=True))


Tile = tuple[str, str, float | None, str]
"""Name of the colour, what the figure is, the share (None for a distance), its text."""


def _tiles(evaluation: Evaluation) -> list[Tile]:
    """The figures at the top."""
    if summary.distance_columns(evaluation):
        return _distances(evaluation)
    baseline, best = summary.strongest_baseline(evaluation), summary.strongest(evaluation)
    left = together.accuracy(evaluation)
    names = dict(zip(map(id, evaluation.rows), looks(evaluation), strict=True))
    tiles = [("clean", "no attack", evaluation.clean_accuracy)]
    whole = evaluation.baseline_accuracy
    if baseline is not None and whole is not None and summary.is_case(evaluation):
        text = "baselines together" if whole < baseline.robust_accuracy - 1e-9 else "strongest baseline"
        tiles.append((f"r{names[id(baseline)].number}", text, whole))
    if best is not None:
        adapted = summary.is_case(evaluation)
        text = "adaptive attack" if adapted else "strongest attack"
        tiles.append((f"r{names[id(best)].number}", text, best.robust_accuracy))
    if left is not None and len(together.attacks(evaluation)) > 1:
        tiles.append(("all", "best of all attacks", left))
    return [(colour, label, share, percent(share)) for colour, label, share in tiles]


def _distances(evaluation: Evaluation) -> list[Tile]:
    """Those of a minimum-norm run, where every attack that goes far enough breaks everything."""
    clean = evaluation.clean_accuracy
    tiles: list[Tile] = [("clean", "no attack", clean, percent(clean))]
    best, whole = summary.strongest(evaluation), together.median_and_mean(evaluation)
    for look, row in zip(looks(evaluation), evaluation.rows, strict=True):
        if row is best and row.median_distance is not None:
            tiles.append((f"r{look.number}", f"median distance, {row.name}", None, f"{row.median_distance:.4g}"))
    if whole is not None and len(together.attacks(evaluation)) > 1:
        tiles.append(("all", "median distance, best of all attacks", None, f"{whole[0]:.4g}"))
    return tiles
