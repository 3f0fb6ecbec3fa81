"""Our attacks in ART's pipelines."""

from __future__ import annotations

from typing import Any

import torch
from art.attacks import EvasionAttack
from art.estimators.classification import PyTorchClassifier
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator
from torch import Tensor

from advplug.attack import Attack
from advplug.criteria import Criterion
from advplug.engine.stages import run_attack
from advplug.errors import InvalidInput
from advplug.interop.art.models import from_art_classifier
from advplug.interop.calls import OPTIONS, Goal, pose
from advplug.model import Decision
from advplug.threat import ThreatModel


class AdvplugEvasionAttack(EvasionAttack):  # type: ignore[misc]
    """One of our attacks with ART's interface; built by :func:`as_art_attack`.

    ``attack_params`` are the attack's own parameters, ``eps``, ``norm``, ``targeted`` and ``seed``; all of them can be
    changed by ``set_params``.
    """

    attack_params = [*EvasionAttack.attack_params, "eps", "norm", "targeted", "seed"]  # noqa: RUF012
    _estimator_requirements = (BaseEstimator, ClassifierMixin)

    def __init__(
        self,
        attack: Attack,
        estimator: PyTorchClassifier,
        threat: ThreatModel,
        worst_case: bool,
        options: dict[str, Any],
    ) -> None:
        super().__init__(estimator=estimator)
        self.eps, self.norm, self.seed = threat.epsilon, threat.norm, options.pop("seed", 0)
        self.targeted = threat.targeted
        self._attack, self._bounds = attack, threat.bounds
        self._worst_case, self._options = worst_case, options
        if worst_case and options.get("restarts", 1) != 1:
            raise InvalidInput("worst_case keeps the best point of one run: leave restarts at 1")
        self._own = attack.parameters()
        if clash := self._own.keys() & set(self.attack_params):
            raise InvalidInput(f"the attack has parameters {sorted(clash)} of its own, which ART knows as the budget")
        self.attack_params = [*type(self).attack_params, *self._own]
        for name, value in self._own.items():
            setattr(self, name, value)
        self._check_params()

    def set_params(self, **kwargs: Any) -> None:
        """Change parameters; if one of them is refused, all stay as they were.

        Raises
        ------
        InvalidInput: a ValueError, as ART's own attacks raise; the message names the value.
        """
        before = {name: getattr(self, name) for name in kwargs if hasattr(self, name)}
        try:
            super().set_params(**kwargs)
        except Exception:
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def _check_params(self) -> None:
        if not hasattr(self, "_own"):  # the base class checks before there is anything to check
            return
        if not isinstance(self.targeted, bool):
            raise InvalidInput(f"targeted is {self.targeted!r}: give True or False")
        changed = {name: getattr(self, name) for name in self._own}
        if any(changed[name] is not self._own[name] for name in changed):
            self._attack, self._own = type(self._attack)(**changed), changed
        self._threat()

    def _threat(self) -> ThreatModel:
        epsilon = None if self.eps is None else float(self.eps)
        return ThreatModel(self.norm, epsilon, self._bounds, self.targeted)

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial examples for ``x`` (N, ...), of its type and dtype; see :func:`as_art_attack`."""
        given = sorted(name for name, value in kwargs.items() if value is not None)
        if given:
            raise InvalidInput(f"generate does not take {', '.join(given)}")
        if y is None and self.targeted:
            raise InvalidInput("a targeted attack needs the target classes: pass y")
        model = from_art_classifier(self.estimator, bounds=self._bounds)
        inputs = torch.as_tensor(x).to(self.estimator.device)
        goal = Goal(None if y is None else _classes(y).to(inputs.device), bool(self.targeted))
        options = {**self._options, "seed": self.seed}
        if self._worst_case:
            options |= {"criterion": _Anything(), "early_end": False}
        call = pose(model, inputs, goal, self._threat(), **options)
        found = call.adversarials(None if call.problem is None else run_attack(self._attack, call.problem))
        return found.to(x.device) if isinstance(x, Tensor) else found.cpu().numpy()


class _Anything(Criterion):
    """Every point counts, so that the engine keeps the one of lowest loss."""

    def __call__(self, decision: Decision, labels: Tensor, targets: Tensor | None) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)


def as_art_attack(
    attack: Attack, estimator: PyTorchClassifier, *, threat: ThreatModel, worst_case: bool = False, **options: Any
) -> AdvplugEvasionAttack:
    """``attack`` on ``estimator`` as an ART evasion attack, for ART's pipelines and its AdversarialTrainer.

    ``generate(x, y)`` takes numpy arrays or torch tensors in the classifier's clip values; ``y`` as class numbers
    (N,) or (N, 1), or one-hot (N, K): the true classes, or the targets if ``threat.targeted``; None for the model's
    own answers. A failed sample comes back as its clean input, and so does one that is wrong before the attack.
    The same call gives the same result: change ``seed`` by ``set_params`` for another random start.

    Parameters
    ----------
    threat: norm, budget and goal.
    worst_case: return the point of lowest (attacker's) loss within the budget, misclassified or not, as adversarial
        training wants it. There is no early end then.
    options: ``loss``, ``gradient``, ``criterion`` and the fields of :class:`advplug.attack.Options`.

    Raises
    ------
    InvalidInput: the estimator is no ART PyTorchClassifier, or does not fit the threat model.
    """
    model = from_art_classifier(estimator, bounds=threat.bounds)
    if tuple(model.bounds) != tuple(threat.bounds):
        raise InvalidInput(f"the classifier's clip_values are {model.bounds}, the threat model says {threat.bounds}")
    unknown = options.keys() - set(OPTIONS)
    if unknown:
        raise TypeError(f"unknown options {sorted(unknown)}: choose from {', '.join(OPTIONS)}")
    return AdvplugEvasionAttack(attack, estimator, threat, worst_case, options)


def _classes(y: Any) -> Tensor:
    """Class numbers int64 (N,) from numbers (N,) or (N, 1), or from one-hot (N, K)."""
    classes = torch.as_tensor(y)
    if classes.ndim == 2 and classes.shape[1] > 1:
        return classes.argmax(1)
    if classes.is_floating_point() and bool((classes != classes.round()).any()):
        raise InvalidInput("y holds fractions: pass class numbers or one-hot rows")
    return classes.reshape(-1).long()
