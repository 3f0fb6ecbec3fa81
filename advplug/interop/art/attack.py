"""ART's evasion attacks as ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast, get_args

import art.attacks.evasion
import numpy as np
import torch
from art.attacks import EvasionAttack
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from advplug.attack import Attack
from advplug.engine.task import Task
from advplug.errors import InvalidInput
from advplug.interop.art.models import make_classifier
from advplug.interop.external import Part, run_external
from advplug.threat import Norm, ThreatModel

_ORDERS: dict[str, float] = {"linf": np.inf, "l2": 2, "l1": 1}
_ALWAYS_AIMS = ("SaliencyMapMethod", "TargetedUniversalPerturbation")
"""Attacks that take the classes given to them for targets, whatever the goal; the first draws some if given none."""


class ArtAttack(Attack):
    """Any evasion attack of ART on a classifier.

    ART decides where to search; the engine counts every pass and judges what it returns by a fresh decision. ART sees
    scores alone, through a shield that keeps the model's parameters, ``.grad`` and mode out of its reach; float64
    points that some of its attacks send are cast to the model's dtype. Random numbers are ART's own, from the global
    generators of numpy and torch, which the engine seeds and restores; results depend on the batch size.

    Parameters
    ----------
    attack: the name of a class in ``art.attacks.evasion``, such a class, or a function
        ``(estimator, threat) -> EvasionAttack`` of an ART PyTorchClassifier and a ThreatModel.
    parameters: constructor arguments, for a name or class. What is missing is filled in where the class takes it:
        ``eps`` and ``norm`` from the threat model, ``targeted``, ``batch_size`` for one batch, ``verbose=False``.
        Step sizes are not: ART's default ``eps_step`` of 0.1 suits few budgets.

    Raises
    ------
    InvalidInput: unknown name, or parameters for a function.
    """

    fixed_loss = True

    def __init__(
        self,
        attack: str | Callable[[PyTorchClassifier, ThreatModel], EvasionAttack],
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.attack = attack
        self.parameters_ = dict(parameters or {})
        self._kind = getattr(art.attacks.evasion, attack, None) if isinstance(attack, str) else attack
        if self._kind is None:
            raise InvalidInput(f"art.attacks.evasion has no {attack!r}")
        if not isinstance(self._kind, type) and parameters:
            raise InvalidInput("parameters belong to a class of attack: a function sets them itself")
        self._takes: set[str] = set()
        if isinstance(self._kind, type):
            self._takes = set(inspect.signature(self._kind).parameters)
            if unknown := self.parameters_.keys() - self._takes:
                raise InvalidInput(f"{self._kind.__name__} has no parameters {sorted(unknown)}")

    @property
    def norms(self) -> tuple[str, ...]:
        return tuple(_ORDERS) if "norm" in self._takes else get_args(Norm)

    @property
    def minimum_norm(self) -> bool:
        # Without a parameter eps, or in a function of the user's, the search sets its own size.
        return "eps" not in self._takes or "eps" in self.parameters_

    def parameters(self) -> dict[str, Any]:
        return {"attack": self.attack, "parameters": self.parameters_}

    def run(self, task: Task) -> None:
        name = getattr(self._kind, "__name__", type(self._kind).__name__)
        run_external(task, f"ART's {name}", lambda part: self._search(part, task))

    def _search(self, part: Part, task: Task) -> Tensor:
        model = task.problem.model
        targeted = part.targets is not None
        threat = replace(task.threat, epsilon=part.epsilon, targeted=targeted)
        classifier = make_classifier(part.model, model, tuple(part.inputs.shape[1:]), part.inputs.device)
        attack = self._make(classifier, threat, len(part.inputs))
        aims = type(attack).__name__ in _ALWAYS_AIMS
        if bool(attack.targeted) != targeted and not aims:
            raise InvalidInput(f"{type(attack).__name__} is {'not ' * targeted}targeted, the goal is the opposite")
        classes = part.labels if part.targets is None else part.targets
        y = None if aims and not targeted else np.eye(model.num_classes, dtype=np.float32)[classes.cpu().numpy()]
        starts = {} if part.starting_points is None else {"x_adv_init": part.starting_points.cpu().numpy()}
        return torch.as_tensor(attack.generate(part.inputs.cpu().numpy(), y, **starts))

    def _make(self, classifier: PyTorchClassifier, threat: ThreatModel, rows: int) -> EvasionAttack:
        assert self._kind is not None
        if not self._takes:
            return self._kind(classifier, threat)
        filled = {
            "eps": threat.epsilon,
            "norm": _ORDERS.get(threat.norm),
            "targeted": threat.targeted,
            "batch_size": rows,
            "verbose": False,
        }
        filled = {name: value for name, value in filled.items() if name in self._takes and value is not None}
        return cast(type, self._kind)(classifier, **{**filled, **self.parameters_})
