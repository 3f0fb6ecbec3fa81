"""Checks of a criterion plugin: a truth value for each sample, and none for an answer that is right."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from advplug.model import Decision
from advplug.spelling import read_criterion
from advplug.testing.components import require_text
from advplug.testing.subject import NotApplicable, Subject, require

CLASSES = 4
LABELS = torch.arange(CLASSES).repeat_interleave(2)
TARGETS = (LABELS + 1) % CLASSES


def check_judges_each_sample(subject: Subject) -> None:
    """It gives a truth value for each sample, bool (n,)."""
    try:
        found = _judged(subject, TARGETS)
    except Exception as error:
        raise AssertionError(f"it fails on answers of {CLASSES} classes: {error}") from error
    fine = isinstance(found, Tensor) and found.dtype == torch.bool and found.shape == LABELS.shape
    require(fine, f"it gives {getattr(found, 'dtype', type(found).__name__)}: return bool (n,)")


def check_judges_a_sample_alone(subject: Subject) -> None:
    """The verdict on a sample does not depend on the others in its batch."""
    answers = torch.tensor([0, 1, 1, 3, 2, 0, 3, 1])
    whole = subject.once(_verdicts)(answers, torch.arange(len(LABELS)))
    alone = torch.cat([subject.once(_verdicts)(answers, torch.tensor([row])) for row in range(len(LABELS))])
    require(torch.equal(whole, alone), "its verdict on a sample depends on the batch: judge each row alone")


def check_counts_no_right_answer(subject: Subject) -> None:
    """An answer that is right and accepted is no success: else every model is broken without an attack."""
    found = subject.once(_verdicts)(LABELS, torch.arange(len(LABELS)))
    require(not bool(found.any()), f"it counts {int(found.sum())} of {len(LABELS)} right answers as successes")


def check_says_that_it_needs_targets(subject: Subject) -> None:
    """It judges without targets, unless ``needs_targets`` says that it cannot."""
    subject.once(_verdicts)
    if subject.new().needs_targets:
        return
    try:
        _judged(subject, TARGETS, targets=None)
    except Exception as error:
        raise AssertionError(f"without targets it fails ({error}): set needs_targets = True") from error


def check_criterion_is_text(subject: Subject) -> None:
    """Its name spells it in ``--criterion``, and text says what it is, so that runs on other machines have the same."""
    require_text(subject, read_criterion)


def _judged(subject: Subject, answers: Tensor, rows: Tensor | None = None, targets: Tensor | None = TARGETS) -> Tensor:
    """The verdict on ``answers`` to the samples ``rows``, all of them unless given."""
    rows = torch.arange(len(LABELS)) if rows is None else rows
    scores = torch.nn.functional.one_hot(answers[rows], CLASSES).float()
    decision = Decision(answers[rows], torch.ones(len(rows), dtype=torch.bool), scores)
    found: Tensor = subject.new()(decision, LABELS[rows], None if targets is None else targets[rows])
    return found


def _verdicts(subject: Subject) -> Callable[[Tensor, Tensor], Tensor]:
    """Gives verdicts on answers to some rows, of a criterion that judges at all."""
    try:
        check_judges_each_sample(subject)
    except AssertionError as error:
        raise NotApplicable("it gives no truth values: see judges_each_sample") from error
    return lambda answers, rows: _judged(subject, answers, rows)
