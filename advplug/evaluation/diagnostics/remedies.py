"""The one change to try next: worded for the cause, and never what an evaluation has tried already."""

from __future__ import annotations

from collections.abc import Iterable

from advplug.adaptive import Recipe
from advplug.gradients import BPDA, EOT, FiniteDifference, GradientEstimator, Smoothed
from advplug.losses import (
    DLR,
    ClassGaps,
    CrossEntropy,
    LogisticMargin,
    Logit,
    LogMargin,
    Margin,
    MultiTargetLogit,
    TargetedDLR,
    TemperedCrossEntropy,
)
from advplug.tracing import Traced

_ESTIMATORS = {
    EOT: "eot",
    BPDA: "bpda",
    FiniteDifference: "finite-differences",
    Smoothed: "smoothed",
    Traced: "traced",
}

_OF_SCORES = (
    CrossEntropy, TemperedCrossEntropy, Margin, LogMargin, LogisticMargin, ClassGaps, Logit, MultiTargetLogit, DLR,
    TargetedDLR,
)  # fmt: skip
"""Losses of a classifier's scores alone, which know of no detector."""

_ON_SCORES = ("Square", "ZOO")
"""Attacks that take no gradient, whatever their loss."""

_WITH_SCORES = (*_ON_SCORES, "Standard")

_WORDS = {
    "margin": "Change the loss: margin, which does not saturate (--loss margin).",
    "traced": "Change the gradient: traced, which gives {where} a slope (--gradients traced).",
    "bpda": "Change the gradient: BPDA, with a differentiable stand-in for {where} "
    "(--surrogate MODULE:FUNCTION --gradients bpda).",
    "finite-differences": "Change the gradient: finite differences, which see scores alone "
    "(--gradients finite-differences).",
    "smoothed": "Change the gradient: smoothed, the mean over noise of the size of the budget (--gradients smoothed).",
    "square": "Add an attack that sees scores alone: square (--attacks square).",
}

THE_STEP = "the step without a gradient"
"""What a stand-in replaces, where the module is not known."""

NOTHING_LEFT = "Everything usual was tried: read the defense, and write a loss or a gradient for it."

BELIEVE_THE_MARGIN = "Believe the attack whose loss does not saturate, and leave cross-entropy out."


def tried(recipes: Iterable[Recipe]) -> frozenset[str]:
    """Which remedies ``recipes`` already are: names of estimators, ``margin`` for any loss that does not saturate,
    ``square`` for an attack without gradients, ``detector`` for a loss or a gradient that may know of one."""
    found: set[str] = set()
    for recipe in recipes:
        if recipe.on is not None:  # an attack on another model
            continue
        found |= set(estimators(recipe.gradient))
        kind = type(recipe.attack).__name__
        if kind in _WITH_SCORES:
            found.add("square")
        if kind not in _ON_SCORES and not isinstance(recipe.loss or recipe.attack.default_loss, CrossEntropy):
            found.add("margin")
        if (recipe.loss is not None and not isinstance(recipe.loss, _OF_SCORES)) or "custom" in found:
            found.add("detector")
    return frozenset(found)


def estimators(gradient: GradientEstimator) -> list[str]:
    """Names of the estimators that ``gradient`` is made of; none for exact ones, and ``custom`` for others."""
    names = [name for kind, name in _ESTIMATORS.items() if isinstance(gradient, kind)]
    inner = getattr(gradient, "of", None)
    if isinstance(inner, GradientEstimator):
        names += estimators(inner)
    elif not names and type(gradient).__name__ != "Exact":
        names.append("custom")
    return names


def draws_of(gradient: GradientEstimator) -> int:
    """Over how many draws of the model ``gradient`` averages; 1 for one that does not."""
    inner = getattr(gradient, "of", None)
    deeper = draws_of(inner) if isinstance(inner, GradientEstimator) else 1
    return gradient.draws * deeper if isinstance(gradient, EOT) else deeper


def next_change(already: frozenset[str], *remedies: str, where: str = THE_STEP, otherwise: str = NOTHING_LEFT) -> str:
    """The first of ``remedies`` that is not ``already`` tried, in words; ``where`` is what a stand-in replaces."""
    for name in remedies:
        if name not in already:
            return _WORDS[name].format(where=where)
    return otherwise
