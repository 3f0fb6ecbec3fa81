"""The Adversarial Robustness Toolbox (ART): our models and attacks in its pipelines, and its own in ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast, get_args

import art.attacks.evasion
import numpy as np
import torch
from art.attacks import EvasionAttack
from art.defences.detector.evasion import EvasionDetector
from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from art.estimators.classification import PyTorchClassifier
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.criteria import Criterion
from advplug.engine import run_attack
from advplug.errors import InvalidInput
from advplug.interop.calls import OPTIONS, Goal, pose
from advplug.interop.peer import Part, run_peer
from advplug.model import Decision, DefendedModel
from advplug.task import Task
from advplug.threat import Norm, ThreatModel

_ORDERS: dict[str, float] = {"linf": np.inf, "l2": 2, "l1": 1}
_ROWS = 128


# --- models ---


def as_art_classifier(
    model: DefendedModel,
    input_shape: tuple[int, ...],
    *,
    loss: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> PyTorchClassifier:
    """``model`` as an ART classifier with its bounds, on the device where it is.

    ART sees scores alone; for what the defense rejects see :func:`as_art_detector`. ART's own attacks leave weight
    gradients in ``.grad`` of the model.

    Parameters
    ----------
    input_shape: of one input, without the batch.
    loss: None for cross-entropy.
    optimizer: for ART's ``fit``, such as in adversarial training.
    """
    parameter = next(model.parameters(), None)
    return _classifier(model, model, input_shape, parameter, loss=loss, optimizer=optimizer)


def _classifier(
    module: nn.Module,
    model: DefendedModel,
    input_shape: tuple[int, ...],
    like: Tensor | None,
    *,
    loss: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> PyTorchClassifier:
    on_gpu = like is not None and like.is_cuda
    # ART takes whichever device is current
    with torch.cuda.device(cast(Tensor, like).device) if on_gpu else nullcontext():
        return PyTorchClassifier(
            model=module,
            loss=loss or nn.CrossEntropyLoss(),
            optimizer=optimizer,
            input_shape=input_shape,
            nb_classes=model.num_classes,
            clip_values=model.bounds,
            device_type="gpu" if on_gpu else "cpu",
        )


class ArtBackedModel(DefendedModel):
    """An ART classifier with its preprocessing and postprocessing.

    Scores are those of ART's ``predict``. Gradients pass torch preprocessing by its ``estimate_forward`` where it has
    its own, numpy preprocessing by its ``estimate_gradient`` (both of which ART's gradients may miss), and
    postprocessing as if it were not there.
    """

    def __init__(self, classifier: PyTorchClassifier, bounds: tuple[float, float], stochastic: bool) -> None:
        super().__init__(int(classifier.nb_classes), bounds)
        self.classifier = classifier
        self.network = classifier._model
        self.stochastic = stochastic

    def forward(self, x: Tensor) -> Tensor:
        for step in self.classifier.preprocessing_operations:
            if step.apply_predict:
                x = _preprocess(step, x)
        scores = cast(Tensor, self.network(x)[-1])
        if not self.classifier.postprocessing_defences:
            return scores
        answer = self.classifier._apply_postprocessing(scores.detach().cpu().numpy(), fit=False)
        return scores + (torch.as_tensor(answer).to(scores) - scores).detach()


def from_art_classifier(
    classifier: PyTorchClassifier, *, bounds: tuple[float, float] | None = None, stochastic: bool = False
) -> DefendedModel:
    """An ART classifier on PyTorch, with all that it does to inputs and scores; ours comes back as it was.

    Parameters
    ----------
    bounds: range of valid inputs, if the classifier has no ``clip_values``.
    stochastic: whether its preprocessing or network draws random numbers.

    Raises
    ------
    InvalidInput: another framework; no bounds, or different ones for different features.
    """
    if not isinstance(classifier, PyTorchClassifier):
        raise InvalidInput(f"the classifier is a {type(classifier).__name__}: pass an ART PyTorchClassifier")
    if classifier.clip_values is not None:
        low, high = (np.unique(value) for value in classifier.clip_values)
        if len(low) != 1 or len(high) != 1:
            raise InvalidInput("clip_values differ between features: rescale the inputs to one range")
        bounds = (float(low[0]), float(high[0]))
    if bounds is None:
        raise InvalidInput("the classifier has no clip_values: give it some, or pass bounds")
    model = classifier.model
    changed = _changes_inputs(classifier) or classifier.postprocessing_defences
    if isinstance(model, DefendedModel) and not changed and tuple(model.bounds) == bounds:
        return model
    return ArtBackedModel(classifier, bounds, stochastic)


def _changes_inputs(classifier: PyTorchClassifier) -> bool:
    """Whether any preprocessing does something; ART adds a standardisation by 0 and 1 to every classifier."""
    return any(
        np.any(getattr(step, "mean", 1) != 0) or np.any(getattr(step, "std", 0) != 1)
        for step in classifier.preprocessing_operations
    )


def _preprocess(step: Any, x: Tensor) -> Tensor:
    if not isinstance(step, PreprocessorPyTorch):
        return cast(Tensor, _NumpyStep.apply(x, step))  # type: ignore[no-untyped-call]
    value = cast(Tensor, step.forward(x)[0])
    if type(step).estimate_forward is PreprocessorPyTorch.estimate_forward or not x.requires_grad:
        return value
    stand_in = cast(Tensor, step.estimate_forward(x))
    return stand_in + (value - stand_in).detach()


class _NumpyStep(torch.autograd.Function):
    """A numpy preprocessor, differentiated by its own ``estimate_gradient``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.step = step
        return torch.as_tensor(step(x.detach().cpu().numpy())[0]).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        estimate = ctx.step.estimate_gradient(x.detach().cpu().numpy(), gradient.cpu().numpy())
        return torch.as_tensor(estimate).to(gradient), None


# --- our attacks in ART's pipelines ---


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

    def _check_params(self) -> None:
        if not hasattr(self, "_own"):  # the base class checks before there is anything to check
            return
        changed = {name: getattr(self, name) for name in self._own}
        if any(changed[name] is not self._own[name] for name in changed):
            self._attack, self._own = type(self._attack)(**changed), changed
        self._threat()

    def _threat(self) -> ThreatModel:
        epsilon = None if self.eps is None else float(self.eps)
        return ThreatModel(self.norm, epsilon, self._bounds, bool(self.targeted))

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
    options: ``loss``, ``gradient``, ``criterion`` and the fields of :class:`advplug.problem.Options`.

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


# --- ART's attacks as ours ---


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
        self.norms = tuple(_ORDERS) if "norm" in self._takes else get_args(Norm)  # type: ignore[misc]
        # without a parameter eps, or in a function of the user's, the search sets its own size
        self.minimum_norm = "eps" not in self._takes or "eps" in self.parameters_  # type: ignore[misc]

    def parameters(self) -> dict[str, Any]:
        return {"attack": self.attack, "parameters": self.parameters_}

    def run(self, task: Task) -> None:
        name = getattr(self._kind, "__name__", type(self._kind).__name__)
        run_peer(task, f"ART's {name}", lambda part: self._search(part, task))

    def _search(self, part: Part, task: Task) -> Tensor:
        model = task.problem.model
        targeted = part.targets is not None
        threat = replace(task.threat, epsilon=part.epsilon, targeted=targeted)
        classifier = _classifier(part.model, model, tuple(part.inputs.shape[1:]), part.inputs)
        attack = self._make(classifier, threat, len(part.inputs))
        if bool(attack.targeted) != targeted:
            raise InvalidInput(f"{type(attack).__name__} is {'not ' * targeted}targeted, the goal is the opposite")
        classes = part.labels if part.targets is None else part.targets
        y = np.eye(model.num_classes, dtype=np.float32)[classes.cpu().numpy()]
        starts = {} if part.starts is None else {"x_adv_init": part.starts.cpu().numpy()}
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


# --- detectors ---


class AdvplugDetector(EvasionDetector):  # type: ignore[misc]
    """What a defended model rejects, as an ART detector; built by :func:`as_art_detector`."""

    def __init__(self, model: DefendedModel) -> None:
        super().__init__()
        self.model = model

    def fit(self, x: Any, y: Any, batch_size: int = _ROWS, nb_epochs: int = 20, **kwargs: Any) -> None:
        """Refused: the defense comes fitted."""
        raise NotImplementedError("the defense comes fitted: train it with advplug")

    @torch.no_grad()
    def detect(self, x: Any, batch_size: int = _ROWS, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        """``({"predictions": int64 (N,)}, is_adversarial)`` for ``x`` (N, ...); ``is_adversarial`` bool (N,)."""
        parameter = next(self.model.parameters(), None)
        inputs = torch.as_tensor(x)
        inputs = inputs if parameter is None else inputs.to(parameter)
        decisions = [self.model.decide(chunk) for chunk in inputs.split(batch_size)]
        labels = torch.cat([decision.labels for decision in decisions]).cpu().numpy()
        return {"predictions": labels}, ~torch.cat([decision.accepted for decision in decisions]).cpu().numpy()


def as_art_detector(model: DefendedModel) -> AdvplugDetector:
    """The detector of a defended model that rejects, for ART.

    Raises
    ------
    InvalidInput: the model accepts everything.
    """
    if not model.rejects:
        raise InvalidInput(f"{type(model).__name__} accepts every input: it has no detector")
    return AdvplugDetector(model)


class DetectedModel(DefendedModel):
    """A model behind an ART detector: an input is accepted if both the model and the detector accept it."""

    def __init__(self, model: DefendedModel, detector: EvasionDetector) -> None:
        super().__init__(model.num_classes, model.bounds)
        self.model = model
        self.detector = detector
        self.stochastic = model.stochastic

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.model(x))

    def decide(self, x: Tensor) -> Decision:
        decision = self.model.decide(x)
        _, adversarial = self.detector.detect(x.detach().cpu().numpy())
        flagged = torch.as_tensor(np.asarray(adversarial, dtype=bool).reshape(-1), device=x.device)
        return Decision(decision.labels, decision.accepted & ~flagged)


def from_art_detector(model: DefendedModel, detector: EvasionDetector) -> DefendedModel:
    """``model`` with the decisions of an ART ``detector``. ART's detectors give no gradient: attacks see scores alone.

    Raises
    ------
    InvalidInput: not an ART evasion detector.
    """
    if not isinstance(detector, EvasionDetector):
        raise InvalidInput(f"the detector is a {type(detector).__name__}: pass an ART EvasionDetector")
    return DetectedModel(model, detector)
