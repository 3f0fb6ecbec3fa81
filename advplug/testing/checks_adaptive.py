"""Checks of an adaptive attack: its pair, its recipes, its claim."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from advplug.adaptive import Recipe
from advplug.criteria import Misclassified
from advplug.engine.problem import make_problem
from advplug.engine.query_counter import QueryCounter
from advplug.engine.references import Referring
from advplug.errors import AdvplugError, DataUnavailable, UnknownPlugin
from advplug.evaluation import case_job, evaluate
from advplug.gradients import Exact
from advplug.losses import CrossEntropy
from advplug.numerics.random_numbers import Noise
from advplug.specs import AdaptiveSpec
from advplug.testing.cases import Cases, Line
from advplug.testing.checks import slow
from advplug.testing.offline import offline
from advplug.testing.subject import NotApplicable, Subject, require

SENTENCE_END = re.compile(r"(?<!et al)(?<!e\.g)(?<!i\.e)[.!?]\s+(?=[A-Z])")
JUDGED_ON = 10
PLUGIN = re.compile(r"advplug_attack_(\w+)")


def check_breaks_an_installed_defense(subject: Subject) -> None:
    """``breaks`` names an installed defense, in the spec and in the class alike."""
    breaks = _spec(subject).breaks
    try:
        subject.manager.find(f"defense:{breaks}")
    except AdvplugError as error:
        raise AssertionError(f"{error}; declare advplug-defense-{breaks} as a dependency") from error
    own = getattr(subject.factory, "breaks", None)
    require(own == breaks, f"the spec breaks {breaks!r}, the class {own!r}: write the same name")


def check_uses_installed_attacks(subject: Subject) -> None:
    """``uses_attacks`` names installed attacks."""
    for name in _spec(subject).uses_attacks:
        try:
            subject.manager.find(f"attack:{name}")
        except UnknownPlugin as error:
            raise AssertionError(f"{error}; declare advplug-attack-{name} as a dependency") from error


def check_drives_what_it_uses(subject: Subject) -> None:
    """Of every attack plugin that a recipe uses, an attack stands in ``uses_attacks``."""
    named = set(_spec(subject).uses_attacks)
    factories = (spec.factory for spec in subject.manager.specs("attack") if spec.name in named)
    modules = (type(recipe.attack).__module__ for line in _lines(subject) for recipe in line.everything)
    missing = sorted(_plugins(modules) - named - _plugins(factories))
    require(not missing, f"recipes use attack:{', attack:'.join(missing)}: add it to uses_attacks")


def _plugins(modules: Iterable[str]) -> set[str]:
    """The attack plugins whose packages ``modules`` belong to; relatives share one, which has the name of the group."""
    found = (PLUGIN.fullmatch(module.partition(".")[0]) for module in modules)
    return {match[1].replace("_", "-") for match in found if match}


def check_has_recipes_for_every_preset(subject: Subject) -> None:
    """Every preset with shipped weights has baselines and recipes."""
    cases = subject.once(Cases.of)
    presets = cases.built.shipped
    for name, model in cases.built.models.items():
        try:
            baselines = cases.adaptive.baselines(name, presets[name].threat)
            recipes = cases.adaptive.recipes(name, presets[name].threat, model)
        except Exception as error:
            raise AssertionError(f"preset {name} has no recipes: {error!r}") from error
        require(baselines, f"preset {name} has no baselines: the claim needs the evaluation of its authors")
        require(recipes, f"preset {name} has no recipes: name at least the adaptive attack")


def check_recipes_have_different_names(subject: Subject) -> None:
    """No two recipes of a preset share name and library: tables and records tell them apart by these."""
    for line in _lines(subject):
        names = [(recipe.name, recipe.library) for recipe in line.everything]
        double = sorted({name for name in names if names.count(name) > 1})
        require(not double, f"preset {line.preset} has {double} more than once: give each another name")


def check_last_recipe_alone_is_adaptive(subject: Subject) -> None:
    """Baselines have the role baseline, the last recipe is adaptive; those before it are intermediate or controls."""
    for line in _lines(subject):
        before = ["control" if recipe.role == "control" else "intermediate" for recipe in line.recipes[:-1]]
        expected = ["baseline"] * len(line.baselines) + before + ["adaptive"]
        wrong = [
            f"{recipe.name} is {recipe.role}, not {role}"
            for recipe, role in zip(line.everything, expected, strict=True)
            if recipe.role != role
        ]
        require(not wrong, f"preset {line.preset}: {'; '.join(wrong)}")


def check_published_figures_have_a_source(subject: Subject) -> None:
    """A published figure is a share in [0, 1] and says where it stands."""
    for line in _lines(subject):
        for recipe in line.everything:
            if recipe.published is not None:
                inside = 0 <= recipe.published <= 1
                require(inside, f"{recipe.name}: published is {recipe.published}, give a share in [0, 1]")
                require((recipe.source or "").strip(), f"{recipe.name}: published without a source")


def check_claim_and_lesson_are_one_sentence(subject: Subject) -> None:
    """``claim`` and ``lesson`` are one sentence each."""
    for name in ("claim", "lesson"):
        text: Any = getattr(subject.factory, name, None)
        fine = isinstance(text, str) and text == text.strip() and text.endswith(".") and "\n" not in text
        require(fine, f"{name} is {text!r}: write one sentence that ends with a full stop")
        require(not SENTENCE_END.search(text), f"{name} {text!r}: write one sentence, not several")


def check_attacks_fit_the_threat(subject: Subject) -> None:
    """Every attack works under the norm and the budget of the preset."""
    for line in _lines(subject):
        for recipe in line.everything:
            norm, name = line.threat.norm, f"preset {line.preset}, {recipe.name}"
            require(norm in recipe.attack.norms, f"{name}: {recipe.attack!r} does not work under {norm}")
            budget = line.threat.epsilon is not None or recipe.attack.minimum_norm
            require(budget, f"{name}: {recipe.attack!r} needs a budget, {line.threat} gives none")


def check_losses_have_gradients(subject: Subject) -> None:
    """On the defended model each loss is finite, one number per sample, and its estimator gives a gradient.

    A loss that takes its references from the attacked set has no value before it has seen one, and is left out. So is
    an attack with losses of its own at the exact gradient: a suite does without a gradient where there is none.
    """
    for line in _lines(subject):
        for recipe in line.recipes:
            chosen = recipe.loss not in (None, CrossEntropy()) or recipe.gradient != Exact()
            own = chosen or (recipe.library == "advplug" and not recipe.attack.fixed_loss)
            if line.inputs is not None and own and not isinstance(recipe.loss, Referring):
                _check_gradient(line, recipe, line.inputs[:2])


@slow
def check_breaks_more_than_the_baselines(subject: Subject) -> None:
    """On ten shipped images the adaptive attack leaves no more accuracy than the best baseline.

    Of a random model the majority of fresh draws counts: the mean of few draws moves more than such attacks differ.
    """
    cases = subject.once(Cases.of)
    line = next((line for line in _lines(subject) if _ships(cases, line.preset)), None)
    if line is None:
        raise NotApplicable("no preset ships both weights and test images")
    name = _spec(subject).name
    with offline():
        job = case_job(name, preset=line.preset, limit=JUDGED_ON, manager=subject.manager)
        rows = evaluate(replace(job, recipes=(*line.baselines, line.recipes[-1]))).rows
    left = [float(row.randomised.get("majority", row.robust_accuracy)) for row in rows]
    adaptive, baseline = left[-1], min(left[:-1])
    message = f"preset {line.preset}: {rows[-1].name} leaves {adaptive:.0%}, the best baseline {baseline:.0%}"
    require(adaptive <= baseline, f"{message}: strengthen the adaptive attack")


def _check_gradient(line: Line, recipe: Recipe, x: torch.Tensor) -> None:
    """Ask the recipe's estimator for the first gradient."""
    name, labels = f"preset {line.preset}, {recipe.name}", torch.zeros(len(x), dtype=torch.int64)
    loss = recipe.loss or recipe.attack.default_loss
    model, rows = recipe.on or line.model, torch.arange(len(x))
    problem = make_problem(model, x, labels, line.threat, criterion=Misclassified())
    targets = labels + 1 if recipe.targets or recipe.num_targets or loss.needs_targets else None
    if callable(recipe.targets):
        targets = recipe.targets(labels)
    try:
        with problem.gateway() as gateway:
            objective = problem.objective(gateway, loss, QueryCounter(len(x), x.device), rows, targets)
            found = recipe.gradient(objective, x, Noise.of(0, rows, 0), 0)
    except (AdvplugError, RuntimeError, IndexError, AttributeError) as error:
        raise AssertionError(f"{name}: {recipe.gradient!r} of {loss!r} fails: {error}") from error
    shape = tuple(found.loss.shape)
    require(
        shape[:1] == (len(x),) and len(shape) <= 2,
        f"{name}: {loss!r} has shape {shape}: give one loss per sample, no mean",
    )
    require(found.loss.isfinite().all(), f"{name}: {loss!r} is NaN or infinite")
    require(found.gradient.shape == (*shape, *x.shape[1:]), f"{name}: the gradient is not like the inputs")
    require(found.gradient.isfinite().all(), f"{name}: the gradient is NaN or infinite")


def _ships(cases: Cases, preset: str) -> bool:
    """Whether the images that the preset is judged on are here without a network."""
    configuration = cases.built.shipped[preset]
    dataset = cases.manager.load(f"data:{configuration.data}")()
    with offline():
        try:
            return len(dataset.load(configuration.test_split, 1)) == 1
        except DataUnavailable:
            return False


def _spec(subject: Subject) -> AdaptiveSpec:
    spec = subject.spec
    assert isinstance(spec, AdaptiveSpec)
    return spec


def _lines(subject: Subject) -> list[Line]:
    return subject.once(Cases.of).lines
