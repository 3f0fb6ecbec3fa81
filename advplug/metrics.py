"""Figures that papers report beside robust accuracy: relative distances, cases over targets, transfer, curves.

Each is derived from what :func:`advplug.run` returns, and says how many samples it is about: a mean over successes
alone makes an attack that rarely succeeds look strong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from advplug.api import run
from advplug.attack import Attack
from advplug.engine.problem import make_problem
from advplug.engine.result import AttackResult
from advplug.errors import InvalidInput
from advplug.model import Decision
from advplug.numerics.tensors import norms, raw
from advplug.threat import Norm, ThreatModel, as_threat

__all__ = [
    "Case",
    "Labelled",
    "Mean",
    "OverTargets",
    "Share",
    "area_under",
    "labelled_by",
    "over_targets",
    "relative_distance",
    "security_curve",
    "transferred",
]

NORMS: tuple[Norm, ...] = ("l0", "l1", "l2", "linf")


class Mean(NamedTuple):
    """A mean over the ``successes`` among ``attacked`` samples, those that were right before; NaN without any."""

    value: float
    successes: int
    attacked: int

    def __str__(self) -> str:
        return f"{self.value:.4g} over {self.successes} of {self.attacked}"


class Share(NamedTuple):
    """``hits`` among ``tested`` samples."""

    hits: int
    tested: int

    @property
    def value(self) -> float:
        """The share; NaN if nothing was tested."""
        return self.hits / self.tested if self.tested else float("nan")

    def __str__(self) -> str:
        return f"{self.value:.1%}, {self.hits} of {self.tested}"


def relative_distance(result: AttackResult, inputs: Any, norm: Norm = "l2") -> Mean:
    """Average robustness: the mean of ``||r||_p / ||x||_p`` (Moosavi-Dezfooli et al. 2016, section 4: rho_adv).

    Parameters
    ----------
    result: of a minimum-norm attack on ``inputs``.
    inputs: the clean samples (N, ...). One that is zero throughout has no relative distance and is left out.
    norm: in which both lengths are measured.
    """
    clean = _tensor(inputs).double()
    lengths = norms(clean, norm)
    counted = result.success & (lengths > 0)
    found = norms(_tensor(result.adversarials).double() - clean, norm) / lengths
    return Mean(float(found[counted].mean()), int(counted.sum()), int((result.correct & (lengths > 0)).sum()))


class Case(NamedTuple):
    """Share of the attacked samples that are broken, and the mean lengths of the perturbations that broke them."""

    success_rate: float
    lengths: Mapping[str, float]


@dataclass(frozen=True)
class OverTargets:
    """What an attack did towards each wrong class of each sample (Carlini and Wagner 2017, section VI-A).

    Parameters
    ----------
    norm: that of the threat model: which perturbation is smaller than another.
    success: bool (n, K - 1), for the n samples that were right before the attack.
    lengths: float64 (n, K - 1) for each norm: of the perturbation, NaN where there is no success.
    """

    norm: Norm
    success: Tensor
    lengths: Mapping[str, Tensor]

    @property
    def best(self) -> Case:
        """Towards the class that is nearest to each sample; broken if any target is reached."""
        order = self.lengths[self.norm].nan_to_num(torch.inf)
        return self._case(self.success.any(1), order.argmin(1))

    @property
    def average(self) -> Case:
        """The expectation over a target drawn at random."""
        means = {name: float(length[self.success].mean()) for name, length in self.lengths.items()}
        return Case(float(self.success.double().mean()), means)

    @property
    def worst(self) -> Case:
        """Towards the class that is furthest from each sample; broken only if every target is reached."""
        order = self.lengths[self.norm].nan_to_num(-torch.inf)
        return self._case(self.success.all(1), order.argmax(1))

    def _case(self, broken: Tensor, targets: Tensor) -> Case:
        rows = broken.nonzero().squeeze(1)
        means = {name: float(length[rows, targets[rows]].mean()) for name, length in self.lengths.items()}
        return Case(float(broken.double().mean()), means)

    def __str__(self) -> str:
        lines = [f"{'case':<8} {'success':>8} " + " ".join(f"{name:>9}" for name in NORMS)]
        for name in ("best", "average", "worst"):
            rate, lengths = getattr(self, name)
            lines.append(f"{name:<8} {rate:>8.1%} " + " ".join(f"{lengths[norm]:>9.4g}" for norm in NORMS))
        return "\n".join(lines)


def over_targets(
    attack: Attack, model: nn.Module, inputs: Any, labels: Any, threat: ThreatModel | str, **options: Any
) -> OverTargets:
    """Attack towards every wrong class in turn: best, average and worst case.

    Parameters
    ----------
    attack, model, inputs, labels, threat, options: as in :func:`advplug.run`.

    Raises
    ------
    InvalidInput: as :func:`advplug.run`; or no sample is right before the attack.
    """
    threat, x, y = as_threat(threat), _tensor(inputs), _tensor(labels).long()
    classes = make_problem(model, x, y, threat).model.num_classes
    success, lengths = [], []
    for shift in range(1, classes):
        result = run(attack, model, x, y, threat, targets=(y + shift) % classes, **options)
        rows = result.correct
        success.append(result.success[rows])
        delta = (result.adversarials - x)[rows].double()
        missed = ~result.success[rows]
        lengths.append({norm: norms(delta, norm).masked_fill(missed, torch.nan) for norm in NORMS})
    if not len(success[0]):
        raise InvalidInput("no sample is right before the attack: there is nothing to attack")
    return OverTargets(
        threat.norm,
        torch.stack(success, 1),
        {norm: torch.stack([each[norm] for each in lengths], 1) for norm in NORMS},
    )


def transferred(adversarials: Any, model: nn.Module, inputs: Any, labels: Any, targets: Any = None) -> Share:
    """How often adversarial examples that were made elsewhere fool ``model``.

    The denominator is every sample whose clean input ``model`` gets right, also those that the attack did not break on
    the model where it ran.

    Parameters
    ----------
    adversarials, inputs: (N, ...), in [0, 1] or whatever ``model`` takes.
    model: the unseen model.
    labels: true classes (N,).
    targets: classes (N,) that the answers have to be; None for any wrong class.
    """
    y = _tensor(labels).long()
    clean, attacked = _decisions(model, _tensor(inputs)), _decisions(model, _tensor(adversarials))
    right = (clean.labels == y) & clean.accepted
    fooled = attacked.labels != y if targets is None else attacked.labels == _tensor(targets)
    fooled &= right & attacked.accepted
    return Share(int(fooled.sum()), int(right.sum()))


class Labelled(NamedTuple):
    """How a second opinion labels adversarial examples: shares that add up to 1."""

    as_target: float
    as_label: float
    otherwise: float


def labelled_by(judge: nn.Module, adversarials: Any, labels: Any, targets: Any) -> Labelled:
    """How a network that was not attacked labels adversarial examples.

    It stands in for people, who see whether a perturbation changes what an image shows. It is no more than that: a
    network shares weaknesses with the attacked one, and transfer looks like agreement.

    Parameters
    ----------
    judge: the other network, as a rule of another architecture and training.
    adversarials: (N, ...).
    labels, targets: (N,), the true classes and those that the attack aimed at.
    """
    said = _decisions(judge, _tensor(adversarials)).labels
    as_target = float((said == _tensor(targets)).double().mean())
    as_label = float((said == _tensor(labels)).double().mean())
    return Labelled(as_target, as_label, 1 - as_target - as_label)


def security_curve(results: AttackResult | Sequence[AttackResult], epsilons: Sequence[float]) -> list[float]:
    """Accuracy within each budget: right before, and no adversarial example of any result is within it.

    Several results of the same samples give the envelope, the accuracy under all attacks together.

    Parameters
    ----------
    results: of minimum-norm attacks, or of runs within at least the largest budget.
    epsilons: budgets in the norm of the results.
    """
    found = [results] if isinstance(results, AttackResult) else list(results)
    if not found or len({len(one.correct) for one in found}) > 1:
        raise InvalidInput("results must be of the same samples, and at least one: run each attack on the same inputs")
    correct = torch.stack([one.correct for one in found]).all(0)
    nearest = torch.stack([one.distance.nan_to_num(torch.inf) for one in found]).amin(0)
    return [float((correct & ~(nearest <= epsilon * (1 + 1e-6))).double().mean()) for epsilon in epsilons]


def area_under(epsilons: Sequence[float], accuracies: Sequence[float]) -> float:
    """The area under a security curve over its range of budgets: 1 if everything withstands every budget.

    Raises
    ------
    InvalidInput: fewer than two budgets, or budgets that do not rise.
    """
    widths = [after - before for before, after in pairwise(epsilons)]
    if len(epsilons) != len(accuracies) or not widths or min(widths) <= 0:
        raise InvalidInput("give at least two budgets that rise, and an accuracy for each")
    means = [(before + after) / 2 for before, after in pairwise(accuracies)]
    return sum(width * mean for width, mean in zip(widths, means, strict=True)) / (epsilons[-1] - epsilons[0])


def _decisions(model: nn.Module, x: Tensor) -> Decision:
    """The model's answers, in evaluation mode and in passes that fit into memory."""
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
    problem = make_problem(model, x, torch.zeros(len(x), dtype=torch.long), ThreatModel("linf", bounds=(low, high)))
    with problem.gateway() as gateway:
        return gateway.decide(gateway.cast(problem.inputs))


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(raw(values))
