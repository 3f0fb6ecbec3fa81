"""Our attacks in ART's pipelines."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any

from art.attacks import EvasionAttack
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator
from torch import Tensor

from advplug.attack import Attack
from advplug.criteria import Anything
from advplug.engine.frozen import device_of
from advplug.engine.stages import run_attack
from advplug.errors import AdvplugError, InvalidInput
from advplug.interop.art.classifiers import from_art_classifier, limits_of
from advplug.interop.art.parameters import (
    budget,
    check_eps,
    check_options,
    classes_of,
    inputs_of,
    mask_of,
    norm_named,
    starting_points,
)
from advplug.interop.calls import OPTIONS, Goal, pose
from advplug.threat import ThreatModel, as_threat


class AdvplugEvasionAttack(EvasionAttack):  # type: ignore[misc]
    """One of our attacks with ART's interface; built by :func:`as_art_attack`.

    ``attack_params`` are the attack's own parameters, ``eps``, ``norm``, ``targeted`` and ``seed``; all of them can be
    changed by ``set_params``. ``eps`` and ``norm`` may be written as for ART's own attacks: ``eps`` as a number, or as
    an array that broadcasts to the inputs (of one number for each input, or under linf for each value), ``norm`` as
    ``np.inf``, ``"inf"``, 2, 1 or 0.
    """

    attack_params = [*EvasionAttack.attack_params, "eps", "norm", "targeted", "seed"]  # noqa: RUF012
    _estimator_requirements = (BaseEstimator, ClassifierMixin)

    def __init__(
        self, attack: Attack, estimator: Any, threat: ThreatModel, worst_case: bool, options: dict[str, Any]
    ) -> None:
        super().__init__(estimator=estimator)
        self.eps = threat.epsilon if threat.budgets is None else threat.budgets
        self.norm, self.seed = threat.norm, options.pop("seed", 0)
        self.targeted = threat.targeted
        self._attack, self._threat = attack, threat
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
        before = {name: getattr(self, name) for name in kwargs if name in self.attack_params}
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
        if not isinstance(self.seed, Integral) or isinstance(self.seed, bool):
            raise InvalidInput(f"seed is {self.seed!r}: give a whole number")
        norm = norm_named(self.norm)
        check_eps(self.eps)
        attack, own = self._changed()
        name = type(attack).__name__
        if norm not in attack.norms:
            raise InvalidInput(
                f"norm is {self.norm!r}, under which {name} does not work: choose {', '.join(attack.norms)}"
            )
        if self.eps is None and not attack.minimum_norm:
            raise InvalidInput(f"eps is None, and {name} needs a budget: give a number")
        self._attack, self._own = attack, own

    def _changed(self) -> tuple[Attack, dict[str, Any]]:
        """The attack with its parameters as they are now."""
        own = {name: getattr(self, name) for name in self._own}
        if all(own[name] is self._own[name] for name in own):
            return self._attack, self._own
        try:
            return type(self._attack)(**own), own
        except InvalidInput:
            raise
        except (AdvplugError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{type(self._attack).__name__} does not take these parameters: {error}") from error

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial examples for ``x`` (N, ...), of its type; see :func:`as_art_attack`.

        They are of its dtype, or float32 where it holds whole numbers or is of half precision.

        Parameters
        ----------
        mask: zero (or False) where a value stays as it is; as for ART, it broadcasts to ``x``. Weights are refused.
        x_adv_init, x_init, starting_points: points like ``x`` to start from, by any of the names that ART uses.
        """
        check_options(kwargs)
        if y is None and self.targeted:
            raise InvalidInput("a targeted attack needs the target classes: pass y")
        model = from_art_classifier(self.estimator, bounds=self._threat.bounds)
        device = getattr(self.estimator, "device", None) or device_of(model) or "cpu"
        inputs = inputs_of(x).to(device)
        widths = (model.num_classes, int(self.estimator.nb_classes))  # a detector's last class is none of the model's
        goal = Goal(None if y is None else classes_of(y, widths).to(inputs.device), bool(self.targeted))
        options = {**self._options, "seed": self.seed}
        if self._worst_case:
            options |= {"criterion": Anything(), "early_end": False}
        norm, shape = norm_named(self.norm), tuple(inputs.shape)
        eps = budget(self.eps, shape, norm)
        mask: Any = mask_of(kwargs.get("mask"), shape)
        threat = replace(
            self._threat,
            norm=norm,
            epsilon=eps.values,
            targeted=self.targeted,
            shares=None,
            mask=self._threat.mask if mask is None else mask,
        )
        call = pose(
            model,
            inputs,
            goal,
            threat,
            starting_points=starting_points(kwargs, inputs),
            epsilon=eps.per_sample,
            **options,
        )
        found = call.adversarials(None if call.problem is None else run_attack(self._attack, call.problem))
        return found.to(x.device) if isinstance(x, Tensor) else found.cpu().numpy()


def as_art_attack(
    attack: Attack, estimator: Any, *, threat: ThreatModel | str, worst_case: bool = False, **options: Any
) -> AdvplugEvasionAttack:
    """``attack`` on ``estimator`` as an ART evasion attack, for ART's pipelines and its AdversarialTrainer.

    ``generate(x, y)`` takes numpy arrays or torch tensors in the classifier's clip values; ``y`` as class numbers
    (N,) or (N, 1), or one-hot (N, K): the true classes, or the targets if ``threat.targeted``; None for the model's
    own answers. A failed sample comes back as its clean input, and so does one that is wrong before the attack.
    The same call gives the same result: change ``seed`` by ``set_params`` for another random start.

    Parameters
    ----------
    estimator: any classifier of ART; see :func:`from_art_classifier` for which of them give gradients.
    threat: norm, budget and goal, or text such as ``"linf:8/255"``. Clip values that differ between features are its
        bounds.
    worst_case: return the point of lowest (attacker's) loss within the budget, misclassified or not, as adversarial
        training wants it. There is no early end then.
    options: ``loss``, ``gradient``, ``criterion`` and the fields of :class:`advplug.attack.Options`.

    Raises
    ------
    InvalidInput: the estimator is no classifier of ART, or does not fit the threat model.
    """
    if isinstance(threat, str):
        threat = as_threat(threat, bounds=from_art_classifier(estimator, bounds=(0.0, 1.0)).bounds)
    model = from_art_classifier(estimator, bounds=threat.bounds)
    if tuple(model.bounds) != tuple(threat.bounds):
        raise InvalidInput(f"the classifier's clip_values are {model.bounds}, the threat model says {threat.bounds}")
    limits = limits_of(estimator)
    if limits is not None and threat.lower_bounds is None:
        threat = replace(threat, bounds=limits)
    unknown = options.keys() - set(OPTIONS)
    if unknown:
        raise TypeError(f"unknown options {sorted(unknown)}: choose from {', '.join(OPTIONS)}")
    return AdvplugEvasionAttack(attack, estimator, threat, worst_case, options)
