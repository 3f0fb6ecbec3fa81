"""Which attacks, losses, gradients and targets take part in a search: what is installed and fits the problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from advplug.attack import Attack, Stage
from advplug.engine.gateway import Gateway
from advplug.engine.objective import Objective
from advplug.engine.problem import Problem, check_loss
from advplug.engine.query_counter import QueryCounter
from advplug.engine.references import Referring, with_references
from advplug.errors import AdvplugError, InvalidInput
from advplug.gradients import Exact, FiniteDifference, GradientEstimator, Orthogonal, Selective
from advplug.losses import Loss, Margin
from advplug.numerics.random_numbers import Noise
from advplug.plugins.manager import default_manager, load
from advplug.search_space import Space
from advplug.spelling import loss_words, read_loss, written
from advplug.tracing.examine import Candidate, Examination

DETECTOR_WEIGHTS = (1, 3, 10, 30)
"""Weights of a detector's score beside the margin."""

MATCHING = ("lookalike", "lookalike(layer=features)")
"""Of a detector: look like a sample that it accepts, in the logits or inside."""

TWO_LOSSES: tuple[type[Selective | Orthogonal], ...] = (Selective, Orthogonal)

WORTH = 0.25
"""How far a gradient must get to take part, as a share of the best one."""

SPARSE_SUITE = ("pgd", "fmn", "pdpgd")
"""What runs first under L0, for which the standard suite has no attack; those of them that are installed."""

LIKELIEST = 3
"""How many target classes a targeted sentence aims at."""


@dataclass(frozen=True)
class Words:
    """The choices of a search.

    Parameters
    ----------
    attacks: name -> what to try of its parameters.
    losses: as the command line spells them; empty is never: cross-entropy always fits.
    gradients: text -> estimator, the most promising first.
    targets: None, or how many of the likeliest other classes.
    own_loss: names of the attacks that take no loss but their own.
    backwards: backward passes of the examination that proposed the gradients, of all samples together.
    """

    attacks: Mapping[str, Space]
    losses: tuple[str, ...]
    gradients: Mapping[str, GradientEstimator]
    targets: tuple[str | None, ...]
    own_loss: frozenset[str]
    backwards: int = 0


def suite_of(problem: Problem) -> Sequence[Stage]:
    """The stages that run before the search: those of ``standard``, or under L0 ``SPARSE_SUITE``.

    Raises
    ------
    InvalidInput: none of them is installed.
    """
    if problem.threat.norm != "l0":
        standard: Attack = load("attack:standard")()
        return standard.stages(problem) or []
    fitting = fitting_attacks(problem)
    stages = [Stage(name, fitting[name], problem) for name in SPARSE_SUITE if name in fitting]
    if not stages:
        raise InvalidInput(f"under l0 the search starts with {', '.join(SPARSE_SUITE)}: install at least one of them")
    return stages


def words_of(problem: Problem, examination: Examination, *, traced: bool = True) -> Words:
    """What takes part for ``problem``; ``traced`` False leaves the gradient networks out."""
    attacks = fitting_attacks(problem)
    own = (
        name for name, attack in attacks.items() if attack.fixed_loss or not _one_value(attack.default_loss, problem)
    )
    spaces = {name: type(attack).search_space() for name, attack in attacks.items()}
    return Words(
        attacks={name: space for name, space in spaces.items() if space is not None},
        losses=fitting_losses(problem),
        gradients=fitting_gradients(problem, examination, traced=traced),
        targets=(None,) if problem.has_targets or problem.model.num_classes < 4 else (None, str(LIKELIEST)),
        own_loss=frozenset(own),
        backwards=examination.backwards,
    )


def fitting_attacks(problem: Problem) -> dict[str, Attack]:
    """Every installed attack that can run here by itself, with its defaults, by name.

    Left out are other libraries' attacks, those that need images of the attacker's own, suites of several attacks, and,
    where the model rejects nothing, those tagged ``detector``.
    """
    manager, found = default_manager(), {}
    for spec in manager.specs("attack"):
        if spec.bridged or ("detector" in spec.tags and not problem.model.rejects):
            continue
        factory = manager.load(spec.key)
        if not isinstance(factory, type) or not issubclass(factory, Attack) or factory.stages is not Attack.stages:
            continue
        attack = factory()
        has_budget = problem.epsilon is not None or attack.minimum_norm
        if problem.threat.norm in attack.norms and has_budget and not attack.needs_auxiliary:
            found[spec.name] = attack
    return found


def fitting_losses(problem: Problem) -> tuple[str, ...]:
    """Every loss that needs nothing but scores and gives one value for each sample; for a detector its score beside it.

    Cross-entropy comes first. Losses that take their references from the samples themselves are for detectors alone.
    """
    made = {word: kind() for word, kind in loss_words().items() if _without_settings(kind)}
    plain = {word: loss for word, loss in made.items() if not loss.layers and not isinstance(loss, Referring)}
    detector = detector_word(problem)
    texts = () if detector is None else (*(f"margin+{weight}*{detector}" for weight in DETECTOR_WEIGHTS), *MATCHING)
    further = (text for text in texts if _one_value(read_loss(text), problem))
    return (*(word for word, loss in plain.items() if _one_value(loss, problem)), *further)


def detector_word(problem: Problem) -> str | None:
    """The loss of a detector: of its scores, of its answers where it offers none; None for a model without any."""
    if problem.model.capabilities.detector_scores is not None:
        return "detector-score"
    return "acceptance" if problem.model.rejects else None


def fitting_gradients(problem: Problem, examination: Examination, *, traced: bool) -> dict[str, GradientEstimator]:
    """The problem's own where somebody chose it, then what the trace found; of a detector also both losses at once.

    Left out is what got not nearly as far as the best, and finite differences where anything else got further: one
    step costs as much as a hundred.
    """
    own = () if isinstance(problem.gradient, Exact) else ((_text(problem.gradient), problem.gradient),)
    found = [one for one in examination.gradients if traced or not _is_network(one)]
    best = max((one.lowers for one in found), default=0.0)
    near = [one for one in found if one.lowers >= WORTH * best]
    quick = [one for one in near if not isinstance(one.estimator, FiniteDifference)]
    chosen = dict((*own, *((one.text, one.estimator) for one in quick or near))) or {"exact": Exact()}
    detector = detector_word(problem)
    if detector is None:
        return chosen
    both = [kind(second=read_loss(detector), of=next(iter(chosen.values()))) for kind in TWO_LOSSES]
    return chosen | {_text(gradient): gradient for gradient in both if _gives_gradient(gradient, problem)}


def _is_network(candidate: Candidate) -> bool:
    return "traced" in candidate.text


def _text(gradient: GradientEstimator) -> str:
    try:
        return written(gradient)
    except AdvplugError:  # it holds a tensor or a function without a name; it runs, and no command line says it
        return repr(gradient)


def _without_settings(kind: type[Loss]) -> bool:
    try:
        kind()
    except TypeError:  # it needs references, a layer or the like
        return False
    return True


def _one_value(loss: Loss, problem: Problem) -> bool:
    """Whether ``loss`` can be asked here, and gives one value for each sample."""
    with problem.gateway() as gateway:
        try:
            check_loss(loss, problem)
            bound = with_references(loss, problem, gateway)
            value, _ = _at_first(problem, gateway, bound).value(gateway.cast(problem.inputs[:1]))
        except AdvplugError:  # such as a detector without thresholds: this loss does not fit
            return False
    return value.ndim == 1


def _gives_gradient(gradient: GradientEstimator, problem: Problem) -> bool:
    """Whether ``gradient`` can be taken here: a detector may show none."""
    noise = Noise.of(problem.options.seed, problem.samples[:1], 0)
    with problem.gateway() as gateway:
        try:
            gradient(_at_first(problem, gateway, Margin()), gateway.cast(problem.inputs[:1]), noise, 0)
        except AdvplugError:
            return False
    return True


def _at_first(problem: Problem, gateway: Gateway, loss: Loss) -> Objective:
    """The objective at the first sample."""
    rows = torch.zeros(1, dtype=torch.int64, device=problem.inputs.device)
    targets = problem.targets[rows] if isinstance(problem.targets, torch.Tensor) else None
    counter = QueryCounter(len(problem.inputs), problem.inputs.device)
    return problem.objective(gateway, loss, counter, rows, targets)
