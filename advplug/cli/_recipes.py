"""Attacks as a user names them: plugins, losses, gradients and ``--set`` texts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from advplug.cli._counts import whole
from advplug.cli._parameters import parameters_of
from advplug.errors import InvalidInput, near
from advplug.hyperparameters import remedy
from advplug.plugins.manager import Manager

if TYPE_CHECKING:
    from advplug.adaptive import Recipe
    from advplug.attack import Attack
    from advplug.criteria import Criterion
    from advplug.evaluation import Job
    from advplug.gradients import GradientEstimator
    from advplug.losses import Loss


_PLAIN: dict[Any, type] = {"int": int, "float": float, "bool": bool, "str": str}
"""Types of parameters that another library writes as text."""


class Gradient(NamedTuple):
    """A gradient as the user wrote it, and the estimator with noise of some size: the job's budget says which.

    One that is not ``spelled`` is taken as it is, and ``text`` is its title.
    """

    text: str
    estimator: GradientEstimator
    spelled: bool = True


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
    from advplug.spelling import read_loss

    chosen = _settings(settings, attacks)
    components: list[tuple[str, Loss | None]] = [(text, read_loss(text)) for text in losses or []]
    found = []
    for name in attacks:
        attack = _attack(name, manager.load(f"attack:{name}"), chosen.get(name, {}))
        library = getattr(manager.find(f"attack:{name}"), "library", "")
        found += recipes_of(name, attack, components, library=library, restarts=restarts, targets=targets)
    return found


def recipes_of(
    name: str,
    attack: Attack,
    losses: Sequence[tuple[str, Loss | None]],
    *,
    library: str,
    restarts: int,
    targets: Targets,
) -> list[Recipe]:
    """``attack`` with each of ``losses``, pairs of a title and a loss; with its own if there is none.

    Raises
    ------
    InvalidInput: losses for an attack that has its own.
    """
    from advplug.adaptive import Recipe

    if losses and attack.fixed_loss:
        raise InvalidInput(f"{name} brings its own losses: leave --losses out, or attack with it apart")
    return [
        Recipe(
            name=f"{name}, {title}" if len(losses) > 1 else name,
            attack=attack,
            loss=loss,
            targets="each" if targets.each else None,
            num_targets=targets.likeliest,
            restarts=restarts,
            role="attack",
            library=library or "advplug",
        )
        for title, loss in losses or [("", None)]
    ]


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
    """Texts like ``exact``, ``finite-differences:500`` or ``eot:20 of bpda``, checked before a model is loaded.

    Raises
    ------
    InvalidInput: no such gradient, or a setting that is refused.
    """
    from advplug.spelling import gradient_words

    if not texts:
        raise InvalidInput(f"--gradients names none: choose among {', '.join(gradient_words())}")
    return [Gradient(text, _estimator(text, sigma=1.0)) for text in texts]


def with_criterion(job: Job, text: str) -> Job:
    """``job`` with recipes whose goal is the criterion that ``text`` spells.

    Raises
    ------
    InvalidInput: no such criterion, or it needs targets and a recipe has none.
    """
    from advplug.spelling import read_criterion

    return with_goal(job, read_criterion(text))


def with_goal(job: Job, criterion: Criterion) -> Job:
    """``job`` with recipes whose goal is ``criterion``.

    Raises
    ------
    InvalidInput: it needs targets, and a recipe has none.
    """
    for recipe in job.recipes:
        if criterion.needs_targets and recipe.targets is None and recipe.num_targets is None:
            raise InvalidInput(f"{recipe.name}: this criterion needs targets: give --targets each")
    return replace(job, recipes=tuple(replace(recipe, criterion=criterion) for recipe in job.recipes))


def takes_surrogate(gradients: Iterable[Gradient]) -> bool:
    """Whether one of them takes gradients from the model's surrogate."""
    from advplug.gradients import BPDA

    return any(isinstance(part, BPDA) for one in gradients for part in _chain(one.estimator))


def with_gradients(job: Job, gradients: Sequence[Gradient]) -> Job:
    """``job`` with each of its recipes once for each gradient, whose noise has the size of the job's budget.

    Raises
    ------
    InvalidInput: BPDA, and the model offers no surrogate; another library's attack; one that a second loss does not
        reach.
    """
    import torch

    from advplug.gradients import Exact, noise_within
    from advplug.losses import ClassGaps

    if takes_surrogate(gradients) and job.model.capabilities.surrogate is None:
        raise InvalidInput(
            f"--gradients bpda: {job.case} has no method surrogate(x) to take gradients from: name a differentiable "
            "stand-in with --surrogate package.module:callable"
        )
    sigma = noise_within(job.threat, job.images.inputs[0].numel())
    estimators = [one._replace(estimator=_estimator(one.text, sigma)) if one.spelled else one for one in gradients]
    for loss in (loss for one in estimators for loss in one.estimator.losses):
        loss.at(torch.arange(len(job.images)), len(job.images))  # refuses rows that belong to other samples
    recipes = []
    for recipe in job.recipes:
        if recipe.library != "advplug" and not all(isinstance(one.estimator, Exact) for one in estimators):
            message = "takes exact gradients, or none: leave --gradients out, or attack with it apart"
            raise InvalidInput(f"{recipe.name} {message}")
        alone = isinstance(recipe.loss or recipe.attack.default_loss, ClassGaps)
        for one in estimators:
            if alone and one.estimator.losses:
                message = f"linearises several values of a sample: {one.text} does nothing to it"
                raise InvalidInput(f"{recipe.name} {message}")
            title = recipe.name if len(estimators) == 1 else f"{recipe.name}, {one.text}"
            recipes.append(replace(recipe, name=title, gradient=one.estimator))
    return replace(job, recipes=tuple(recipes))


def _estimator(text: str, sigma: float) -> GradientEstimator:
    """What ``text`` spells, with noise of standard deviation ``sigma`` where it does not say how much."""
    from advplug.spelling import read_gradient

    noise = {"sigma": sigma}
    defaults: dict[str, dict[str, Any]] = {
        "eot": {"draws": 40},
        "smoothed": {**noise, "draws": 20},
        "finite-difference": noise,
    }
    return read_gradient(text, defaults)


def _chain(estimator: GradientEstimator) -> Iterator[GradientEstimator]:
    """``estimator`` and what it takes its gradients from, however deep."""
    from advplug.gradients import GradientEstimator

    inner: object = estimator
    while isinstance(inner, GradientEstimator):
        yield inner
        inner = getattr(inner, "of", None)


def _attack(name: str, factory: Any, settings: Mapping[str, str]) -> Any:
    known = inspect.signature(factory).parameters
    for key in settings:
        if key not in known:
            raise InvalidInput(f"--set {name}.{key}: {name} has no such parameter{near(key, known)}")
    from advplug.spelling.values import literal

    values = {key: literal(text) for key, text in settings.items()}
    for key, value in values.items():
        wanted = remedy(_type_of(known[key]), value)
        if wanted is not None:
            kind = parameters_of(factory)[key]["annotation"]
            raise InvalidInput(f"--set {name}.{key}={settings[key]}: {key} is {value!r}: {wanted} ({kind})")
    try:
        return factory(**values)
    except (InvalidInput, TypeError) as error:
        wrong = next((key for key in settings if str(error).startswith(f"{key} is ")), None)
        if wrong is None:
            raise InvalidInput(f"--set for {name}: {error}") from error
        kind = parameters_of(factory)[wrong]["annotation"]
        raise InvalidInput(f"--set {name}.{wrong}={settings[wrong]}: {error} ({kind})") from error


def _type_of(parameter: inspect.Parameter) -> Any:
    """Its type where that is plain, Any for a text: an attack of our own checks itself."""
    found = parameter.annotation
    return _PLAIN.get(found, Any) if isinstance(found, str) or found is parameter.empty else found


def _settings(texts: Sequence[str], attacks: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        attack, dot, key = left.strip().rpartition(".")
        if not equals or not dot:
            raise InvalidInput(f"--set {text}: write ATTACK.NAME=VALUE, such as pgd.steps=100")
        if attack not in attacks:
            raise InvalidInput(f"--set {text}: {attack} is not among --attacks{near(attack, attacks)}")
        found.setdefault(attack, {})[key] = value.strip()
    return found
