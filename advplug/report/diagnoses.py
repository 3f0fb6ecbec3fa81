"""The diagnostics as a table: all of them, those that nobody ran among them."""

from __future__ import annotations

from dataclasses import dataclass

from advplug.records.evaluation import Evaluation
from advplug.records.finding import Finding

TITLES = {
    "G1": "Gradients are there, finite and not zero",
    "G2": "The loss does not saturate",
    "G3": "The loss is smooth enough to follow",
    "G4": "No success was lost on the way",
    "G5": "The attacks converged",
    "G6": "Answers are the same when asked twice",
    "G7": "More budget, more steps and more knowledge break more",
    "G8": "Attacks without gradients do not win",
    "G9": "A stand-in breaks like the model itself",
    "G10": "The model is asked as it is meant to be",
    "G11": "No attack is far behind the others",
    "G12": "What a detector costs and catches",
    "G13": "Everything that a reader needs is on record",
    "G14": "The attack solves a problem that has a solution",
}
"""What each diagnostic asks."""

NOT_RUN = "No result on record: nobody looked, which is not a pass."

STATUSES = ("fail", "warn", "pass", "not-run")
SIGNS = {"fail": "✕", "warn": "!", "pass": "✓", "not-run": "?"}

_NAMED = 8  # samples that are listed


@dataclass(frozen=True)
class Diagnosis:
    """One line: the diagnostic, its status and the texts of its other columns, empty where there is nothing to say."""

    id: str
    title: str
    status: str
    figure: str
    message: str
    advice: str
    samples: str

    @property
    def sign(self) -> str:
        """The status as a sign that needs no colour."""
        return SIGNS[self.status]


def diagnoses(evaluation: Evaluation) -> list[Diagnosis]:
    """One line for each finding, and one that says "not run" for each diagnostic without any."""
    found = []
    for number, title in TITLES.items():
        own = [finding for finding in evaluation.findings if finding.id == number]
        found += [_line(finding, number, title) for finding in own]
        if not own:
            found.append(Diagnosis(number, title, "not-run", "", NOT_RUN, "", ""))
    return found + [_line(finding, "", "") for finding in evaluation.findings if finding.id not in TITLES]


def counted(lines: list[Diagnosis]) -> str:
    """How many lines have each status, the worst first."""
    counts = {status: sum(line.status == status for line in lines) for status in STATUSES}
    return ", ".join(f"{count} {status.replace('-', ' ')}" for status, count in counts.items() if count)


def status_of(evaluation: Evaluation, number: str) -> str:
    """The worst status among the findings of a diagnostic; ``not-run`` without any."""
    own = [finding.status for finding in evaluation.findings if finding.id == number]
    return min(own, key=STATUSES.index, default="not-run")


def _line(finding: Finding, number: str, title: str) -> Diagnosis:
    figure = "" if finding.figure is None else f"{finding.figure:.4g}"
    if figure and finding.threshold is not None:
        figure += f" (threshold {finding.threshold:.4g})"
    shown = ", ".join(str(sample) for sample in finding.samples[:_NAMED])
    more = f" and {len(finding.samples) - _NAMED} more" if len(finding.samples) > _NAMED else ""
    return Diagnosis(
        id=number,
        title=f"{title} ({finding.name})" if title else finding.name,
        status=finding.status,
        figure=figure,
        message=finding.message,
        advice=finding.advice,
        samples=shown + more,
    )
