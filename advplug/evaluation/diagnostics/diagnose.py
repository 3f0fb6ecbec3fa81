"""Every finding about an evaluation: each diagnostic says pass, warn, fail or not run, in the order of its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from advplug.evaluation.diagnostics import costly_looks, looks
from advplug.evaluation.diagnostics.look import Look, Looker, skipped
from advplug.evaluation.problems import as_findings
from advplug.records.evaluation import Evaluation
from advplug.records.finding import Finding
from advplug.records.job import Job


@dataclass(frozen=True)
class Diagnostic:
    """One question that is asked of every evaluation; ``name`` stands where nothing was found."""

    id: str
    name: str
    looks: tuple[Looker, ...]


DIAGNOSTICS = (
    Diagnostic("G1", "gradients", (looks.at_rows, looks.at_inputs)),
    Diagnostic("G2", "saturation", (looks.saturated,)),
    Diagnostic("G3", "landscape", (looks.around,)),
    Diagnostic("G4", "silent-success", (looks.lost,)),
    Diagnostic("G5", "convergence", (looks.converged, costly_looks.twice_the_steps)),
    Diagnostic("G6", "randomness", (looks.random,)),
    Diagnostic("G7", "budget", (looks.ordered, costly_looks.without_budget)),
    Diagnostic("G8", "scores-alone", (looks.weaker, costly_looks.scores_alone)),
    Diagnostic("G9", "surrogate", (costly_looks.stand_in,)),
    Diagnostic("G10", "interface", (looks.asked,)),
    Diagnostic("G11", "attack-quality", (looks.quality,)),
    Diagnostic("G12", "rejection", (looks.rejecting,)),
    Diagnostic("G13", "record", (looks.declared,)),
    Diagnostic("G14", "binarisation", (costly_looks.finds_what_is_there,)),
)


def diagnose(job: Job, evaluation: Evaluation, not_run: Sequence[str]) -> list[Finding]:
    """What the host itself sees; ``not_run`` names attacks without a row."""
    look = Look(job, evaluation, not_run)
    with as_findings():
        found = [finding for one in DIAGNOSTICS for finding in _asked(one, look)]
    told = list(_worded_once(_summarised(found)))
    # The adaptive attack that broke a case is the change that its weaker rows needed.
    return [replace(finding, advice="") for finding in told] if job.claim and evaluation.broken else told


def _asked(diagnostic: Diagnostic, look: Look) -> Iterator[Finding]:
    """What its looks found. One that fails costs neither the evaluation nor the other diagnostics."""
    for each in diagnostic.looks:
        try:
            for finding in each(look):
                yield replace(finding, id=finding.id or diagnostic.id)
        except Exception as error:  # whatever a model says to what no attack asks of it; the finding tells
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            yield replace(skipped(f"The look {each.__name__} ended with {reason}."), id=diagnostic.id)


def _summarised(found: list[Finding]) -> Iterator[Finding]:
    """Of each diagnostic its troubles; without any, one finding that it passed, or that nobody looked."""
    for one in DIAGNOSTICS:
        own = [finding for finding in found if finding.id == one.id]
        troubles = [finding for finding in own if finding.status in ("warn", "fail")]
        if one.id in ("G1", "G2"):  # who reads of lost gradients need not be told of the inputs, too
            troubles = [finding for finding in troubles if finding.name != "zero-gradients"] or troubles
        yield from troubles
        if not troubles:
            yield _without_trouble(one, own)


def _without_trouble(one: Diagnostic, own: list[Finding]) -> Finding:
    passes = [finding for finding in own if finding.status == "pass"]
    skips = [finding for finding in own if finding.status == "not-run"]
    if not own:
        return Finding(name=one.name, id=one.id, status="not-run", message="There was nothing to look at.")
    first = (passes or skips)[0]
    messages = list(dict.fromkeys(finding.message for finding in (*passes, *skips)))
    return replace(first, name=one.name, id=one.id, message=" ".join(messages))


def _worded_once(found: Iterator[Finding]) -> Iterator[Finding]:
    """No advice stands twice."""
    given: set[str] = set()
    for finding in found:
        yield replace(finding, advice="") if finding.advice in given else finding
        given.add(finding.advice)
