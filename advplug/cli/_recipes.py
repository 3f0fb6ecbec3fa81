"""Attacks as a user names them: plugins, losses, gradients and ``--set`` texts."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from advplug.cli._counts import whole
from advplug.errors import InvalidInput
from advplug.plugins.manager import Manager

if TYPE_CHECKING:
    from advplug.adaptive import Recipe
    from advplug.evaluation import Job
    from advplug.gradients import GradientEstimator

LOSSES = {
    "cross-entropy": "CrossEntropy",
    "tempered-cross-entropy": "TemperedCrossEntropy",
    "margin": "Margin",
    "logistic-margin": "LogisticMargin",
    "class-gaps": "ClassGaps",
    "dlr": "DLR",
    "targeted-dlr": "TargetedDLR",
    "logit": "Logit",
    "multi-target-logit": "MultiTargetLogit",
}
GRADIENTS = {"exact": None, "eot": 40, "bpda": None, "finite-differences": 100, "smoothed": 20}
"""Name -> queries or draws for each gradient where the user gives no number; None where there is nothing to count."""

Gradient = tuple[str, int | None]


class Targets(NamedTuple):
    """Which classes to aim at: ``each`` other one, or so many of the ``likeliest``."""

    each: bool = False
    likeliest: int | None = None


def read_recipes(
    attacks: Sequence[str],
    losses: Sequence[str] | None,
    *,
    settings: Sequence[str],
    restarts: int,
    targets: Targets,
    manager: Manager,
) -> list[Recipe]:
    """Each attack plugin with each loss, None for its own; ``settings`` are texts like ``pgd.steps=100``.

    Raises
    ------
    UnknownPlugin: no such attack.
    InvalidInput: no such loss or parameter, a value that the attack refuses, or losses for an attack that has its own.
    """
    from advplug import losses as library
    from advplug.adaptive import Recipe

    chosen = _settings(settings, attacks)
    for loss_name in losses or []:
        if loss_name not in LOSSES:
            raise InvalidInput(f"no loss {loss_name!r}{_near(loss_name, LOSSES)}: choose among {', '.join(LOSSES)}")
    found = []
    for name in attacks:
        attack = _attack(name, manager.load(f"attack:{name}"), chosen.get(name, {}))
        library_name = getattr(manager.find(f"attack:{name}"), "library", "")
        if losses and attack.fixed_loss:
            raise InvalidInput(f"{name} brings its own losses: leave --losses out, or attack with it apart")
        for loss_name in losses or [""]:
            title = f"{name}, {loss_name}" if losses and len(losses) > 1 else name
            # None of these was made for the model at hand: they are the baseline that an adaptive attack has to beat.
            loss = getattr(library, LOSSES[loss_name])() if loss_name else None
            found.append(
                Recipe(
                    name=title,
                    attack=attack,
                    loss=loss,
                    targets="each" if targets.each else None,
                    num_targets=targets.likeliest,
                    restarts=restarts,
                    role="baseline",
                    library=library_name or "advplug",
                )
            )
    return found


def read_targets(text: str | None) -> Targets:
    """None, ``each``, or a number of classes.

    Raises
    ------
    InvalidInput: anything else.
    """
    if text is None or text == "each":
        return Targets(each=text is not None)
    number = whole(text)
    if not number:
        raise InvalidInput(f"--targets {text}: write each, or a number of classes")
    return Targets(likeliest=number)


def read_gradients(texts: Sequence[str]) -> list[Gradient]:
    """Texts like ``exact`` or ``finite-differences:500`` as name and number.

    Raises
    ------
    InvalidInput: no such gradient, or a number that is none.
    """
    if not texts:
        raise InvalidInput(f"--gradients names none: choose among {', '.join(GRADIENTS)}")
    found = []
    for text in texts:
        name, colon, number = text.partition(":")
        if name not in GRADIENTS:
            raise InvalidInput(f"no gradient {name!r}{_near(name, GRADIENTS)}: choose among {', '.join(GRADIENTS)}")
        count = GRADIENTS[name]
        if colon and count is None:
            raise InvalidInput(f"--gradients {text}: {name} takes no number")
        if colon and whole(number) is None:
            raise InvalidInput(f"--gradients {text}: write a whole number after the colon, such as {name}:{count}")
        found.append((name, whole(number) if colon else count))
    return found


def with_gradients(job: Job, gradients: Sequence[Gradient]) -> Job:
    """``job`` with each of its recipes once for each gradient, whose noise has the size of the job's budget.

    Raises
    ------
    InvalidInput: BPDA, and the model offers no surrogate; a number that is refused; another library's attack.
    """
    if any(name == "bpda" for name, _ in gradients) and job.model.capabilities.surrogate is None:
        raise InvalidInput(
            f"--gradients bpda: {job.case} has no method surrogate(x) to take gradients from: name a differentiable "
            "stand-in with --surrogate package.module:callable"
        )
    estimators = [(*gradient, _estimator(job, *gradient)) for gradient in gradients]
    recipes = []
    for recipe in job.recipes:
        if recipe.library != "advplug" and any(name != "exact" for name, _ in gradients):
            message = "takes exact gradients, or none: leave --gradients out, or attack with it apart"
            raise InvalidInput(f"{recipe.name} {message}")
        for name, count, estimator in estimators:
            number = "" if count == GRADIENTS[name] else f":{count}"
            title = recipe.name if len(estimators) == 1 else f"{recipe.name}, {name}{number}"
            recipes.append(replace(recipe, name=title, gradient=estimator))
    return replace(job, recipes=tuple(recipes))


def _estimator(job: Job, name: str, count: int | None) -> GradientEstimator:
    from advplug.gradients import BPDA, EOT, Exact, FiniteDifference, Smoothed, noise_within

    if count is None:
        return BPDA() if name == "bpda" else Exact()
    if name == "eot":
        return EOT(count)
    sigma = noise_within(job.threat, job.images.inputs[0].numel())
    return FiniteDifference(sigma, count) if name == "finite-differences" else Smoothed(sigma, count)


def _attack(name: str, factory: Any, settings: Mapping[str, str]) -> Any:
    known = inspect.signature(factory).parameters
    for key in settings:
        if key not in known:
            raise InvalidInput(f"--set {name}.{key}: {name} has no such parameter{_near(key, known)}")
    try:
        return factory(**{key: _value(text) for key, text in settings.items()})
    except TypeError as error:
        raise InvalidInput(f"--set for {name}: {error}") from error


def _settings(texts: Sequence[str], attacks: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        attack, dot, key = left.strip().rpartition(".")
        if not equals or not dot:
            raise InvalidInput(f"--set {text}: write ATTACK.NAME=VALUE, such as pgd.steps=100")
        if attack not in attacks:
            raise InvalidInput(f"--set {text}: {attack} is not among --attacks{_near(attack, attacks)}")
        found.setdefault(attack, {})[key] = value.strip()
    return found


def _value(text: str) -> Any:
    """A Python literal, ``true``, ``false`` or ``none`` in any case, a fraction, or else the text itself."""
    from advplug.numerics.written_numbers import number_in

    constants = {"true": True, "false": False, "none": None}
    if text.lower() in constants:
        return constants[text.lower()]
    for read in (ast.literal_eval, number_in):
        try:
            return read(text)
        except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
            continue
    return text


def _near(name: str, known: Iterable[str]) -> str:
    return "".join(f" (did you mean {match}?)" for match in get_close_matches(name, list(known), n=1))
