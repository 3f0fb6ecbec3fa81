"""The binarisation test: can an attack find an adversarial point that is known to exist? (Zimmermann et al. 2022).

Around a clean input, many points within the budget and one on its surface go through the defended model. A linear
readout of its features tells the one from the many, so that the surface point is adversarial by construction. An attack
that does not find it, or another one, says little where it finds nothing on the defense itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from advplug.adaptive import Recipe
from advplug.engine.gateway import Gateway
from advplug.engine.problem import Options, Problem, make_problem
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput, RobustnessWarning
from advplug.evaluation.diagnostics.intervals import wilson
from advplug.evaluation.diagnostics.random_points import random_points
from advplug.evaluation.diagnostics.readout import BinaryModel, binary_model, feature_layer, fitted
from advplug.losses import (
    ClassGaps,
    CrossEntropy,
    LogisticMargin,
    Logit,
    LogMargin,
    Loss,
    Margin,
    MultiTargetLogit,
    TemperedCrossEntropy,
)
from advplug.numerics.random_numbers import Noise

SAMPLES, INNER = 32, 999
"""How many inputs are tested, where the authors take 512, and how many inner points each has."""

PASS, CLEARLY_LOWER = 0.95, 0.8
"""Least success rate of a sound attack; where guessing reaches the second, the test says nothing."""

_ETA = 0.95  # the inner points lie within this share of the budget
_MOST_QUERIES = 1000  # of the random attacker
_CANDIDATES = 100  # surface points, of which one is taken that can be told apart and that a detector accepts
_OF_ANY_MODEL = (
    CrossEntropy, TemperedCrossEntropy, Margin, LogMargin, LogisticMargin, ClassGaps, Logit, MultiTargetLogit,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Binarisation:
    """What the test says of one attack.

    Parameters
    ----------
    attack: name of the recipe.
    tested: how many inputs had a readout; ``left_out`` how many had none that separates, or no accepted surface point.
    success_rate: share of them for which the attack found an adversarial point.
    random_success_rate: the same for random points, as many as the attack asked about (``queries``, at most 1,000).
    reads: what the readout reads: the inputs of a layer, or the scores.
    replaced: the loss of the recipe, where it means nothing on two classes and the margin stood in for it; "" if not.
    missed: indices of the inputs where the attack found nothing.
    """

    attack: str
    tested: int
    left_out: int
    success_rate: float
    random_success_rate: float
    queries: int
    reads: str
    replaced: str = ""
    missed: tuple[int, ...] = ()

    @property
    def passed(self) -> bool | None:
        """Whether the attack may be sound: its interval reaches 95 %, so that one miss of 16 is no verdict.

        None where guessing does as well, or too few inputs could be tested.
        """
        if self.tested < 4 or (self.random_success_rate > CLEARLY_LOWER and self.success_rate >= PASS):
            return None
        return self.interval[1] >= PASS

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the success rate."""
        return wilson(self.success_rate, self.tested)


def binarisation(
    recipe: Recipe, problem: Problem, *, samples: int = SAMPLES, inner: int = INNER, seed: int = 0
) -> Binarisation:
    """Test the attack of ``recipe`` on the model, the inputs and the threat model of ``problem``.

    The attack keeps its search, its gradient, its restarts and its hyper-parameters. A loss that reads a layer of the
    defense, references or more than two classes means nothing on the readout; the margin stands in for it.

    Parameters
    ----------
    samples: how many of the inputs are tested, the first ones; each costs one run of the attack on one input, and
        about 1,000 forward passes for its readout.
    inner: points within the budget that the readout tells from the one on its surface.

    Raises
    ------
    InvalidInput: no budget, or an attack that cannot run on one input of two classes.
    """
    if problem.epsilon is None:
        raise InvalidInput("the binarisation test needs a budget: give the threat model an epsilon, such as linf:0.3")
    if recipe.attack.needs_auxiliary:
        raise InvalidInput(f"{recipe.name} learns from images of all classes, which a readout of two has not")
    rows = torch.arange(min(samples, len(problem.inputs)), device=problem.inputs.device)
    with problem.gateway() as gateway:
        layer = feature_layer(gateway, gateway.cast(problem.inputs[rows[:4]]))
    loss, replaced = _loss(recipe)
    found, guessed, queries, missed = list[bool](), list[bool](), list[float](), list[int]()
    for row in rows.tolist():
        one = problem.at(rows[row : row + 1])
        model = _binary(one, layer, inner, seed)
        if model is None:
            continue
        task = _task(recipe, model, one, loss, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RobustnessWarning)
            result = run_attack(recipe.attack, task)
        found.append(bool(result.success[0]))
        queries.append(float(result.forwards[0]))
        guessed.append(_guess(task, min(_MOST_QUERIES, max(1, int(queries[-1]))), seed + 1))
        if not found[-1]:
            missed.append(int(problem.samples[row]))
    tested = len(found)
    return Binarisation(
        attack=recipe.name,
        tested=tested,
        left_out=len(rows) - tested,
        success_rate=sum(found) / max(1, tested),
        random_success_rate=sum(guessed) / max(1, tested),
        queries=round(sum(queries) / max(1, tested)),
        reads="the scores" if layer is None else f"the inputs of {layer}",
        replaced=replaced,
        missed=tuple(missed),
    )


def _loss(recipe: Recipe) -> tuple[Loss | None, str]:
    """The loss on the readout, None for the attack's own, and what it stands in for."""
    if recipe.attack.fixed_loss:
        return None, ""
    loss = recipe.loss or recipe.attack.default_loss
    if isinstance(loss, _OF_ANY_MODEL) or (recipe.loss is None and not loss.layers and loss.min_classes <= 2):
        return recipe.loss, ""
    return Margin(), type(loss).__name__


def _task(recipe: Recipe, model: BinaryModel, one: Problem, loss: Loss | None, seed: int) -> Problem:
    """The binary problem: leave class 0, within the budget of the sample."""
    targeted = recipe.targets is not None or recipe.num_targets is not None or one.threat.targeted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RobustnessWarning)
        return make_problem(
            model,
            one.inputs,
            torch.zeros_like(one.labels),
            one.threat,
            targets="each" if targeted else None,
            epsilon=one.epsilon,
            loss=loss,
            gradient=recipe.gradient,
            samples=one.samples,
            options=Options(
                seed=seed,
                restarts=recipe.restarts,
                memory_budget=one.options.memory_budget,
                targets_at_once=recipe.targets_at_once,
            ),
        )


def _binary(one: Problem, layer: str | None, inner: int, seed: int) -> BinaryModel | None:
    """The binary model around one sample; None where nothing separates the points, or the detector accepts none."""
    model = binary_model(one.model, layer)
    gateway = Gateway(model, one.inputs, seed=seed, memory_budget=one.options.memory_budget, max_rows=_rows(one))
    with gateway:
        many = gateway.cast(_points(one, inner, seed, on_surface=False))
        surface = gateway.cast(_points(one, _CANDIDATES, seed + 1, on_surface=True))
        if one.model.rejects:
            with torch.no_grad():
                surface = surface[one.model.decide(surface).accepted]
        if not len(surface) or not fitted(model, gateway, many, surface):
            return None
        # At the input itself the binary answer must be right, or there is nothing to attack.
        start = gateway.decide(gateway.cast(one.inputs))
        return model if bool((start.labels == 0) & start.accepted) else None


def _rows(one: Problem) -> int:
    with one.gateway() as gateway:
        return gateway.max_rows


def _points(one: Problem, count: int, seed: int, *, on_surface: bool) -> Tensor:
    """Points (count, ...) around the one sample: on the surface of its budget, or within 95 % of it.

    Of the inner ones every other one lies on the surface of the smaller ball, or any far point would be told apart.
    """
    rows = torch.zeros(count, dtype=torch.int64, device=one.inputs.device)
    noise = Noise.of(seed, torch.arange(count, device=rows.device), -2)
    if on_surface:
        return random_points(one, rows, noise)
    points = random_points(one, rows, noise, share=_ETA, on_surface=False)
    points[::2] = random_points(one, rows, noise, share=_ETA)[::2]
    return points


def _guess(task: Problem, queries: int, seed: int) -> bool:
    """Whether one of ``queries`` random points on the surface of the budget is adversarial."""
    points = _points(task, queries, seed + 1000, on_surface=True)
    with task.gateway() as gateway:
        decision = gateway.decide(gateway.cast(points))
        hits = ((decision.labels != 0) & decision.accepted).nonzero().squeeze(1)
        for hit in hits[:5]:  # of a random model one lucky draw is no success
            again = gateway.decisions(gateway.cast(points[hit : hit + 1]), task.options.draws)
            if sum(bool((one.labels != 0) & one.accepted) for one in again) > len(again) / 2:
                return True
    return False
