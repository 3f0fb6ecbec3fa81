"""What is attacked, checked before any compute."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from advplug.criteria import Criterion, default_criterion
from advplug.data import Images
from advplug.engine.gateway import DEFAULT_BUDGET, Gateway
from advplug.engine.model_probe import as_defended
from advplug.engine.objective import Objective
from advplug.engine.query_counter import QueryCounter
from advplug.engine.region import Region
from advplug.errors import InvalidInput, RobustnessWarning
from advplug.gradients import Exact, GradientEstimator
from advplug.hyperparameters import Count, Interval, check_hyperparameters
from advplug.losses import CAPABILITIES, Loss
from advplug.model import DefendedModel
from advplug.threat import ThreatModel, as_threat
from advplug.tracking import Listen

Progress = Callable[[int, int, int], None]
"""Called as ``progress(done, total, alive)``: steps done and planned over all rounds and chunks, samples not broken."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the engine runs; none of it changes what the attack is.

    Parameters
    ----------
    seed: of random starts, noise and the model's own randomness.
    restarts: independent runs; later ones see only the samples that are not broken yet.
    early_end: a sample leaves at its first success. Never applies to stochastic models or to minimum-norm runs.
    batch_size: samples attacked at once; None takes as many as the memory budget allows.
    memory_budget: bytes of activations in one forward pass.
    targets_at_once: how many target classes of a sample share a batch, each as a row of its own, where the problem
        asks for several; the first to succeed ends all of them. 1 tries one after the other, the likeliest first, which
        takes the fewest queries; more takes the least time where a batch of samples alone does not fill the device.
    draws: fresh decisions by which a success of a stochastic model is judged.
    progress: called after every step.
    listen: called with every evaluation of a batch; see :mod:`advplug.tracking`.
    """

    seed: Annotated[int, Interval(-(2**63), 2**63 - 1)] = 0
    restarts: Count = 1
    early_end: bool = True
    batch_size: Count | None = None
    memory_budget: Count = DEFAULT_BUDGET
    targets_at_once: Count = 1
    draws: Count = 10
    progress: Progress | None = None
    listen: Listen | None = None

    def __post_init__(self) -> None:
        check_hyperparameters(self)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A set of samples, the model that decides on them, and the attacker's goal; built by :func:`make_problem`.

    ``inputs`` float (N, ...) within ``threat.bounds``; ``labels`` int64 (N,); ``targets`` int64 (N,), ``"each"`` for
    every other class, or None; ``num_targets`` how many of the likeliest other classes to try instead; ``epsilon``
    float64 (N,) or None for minimum norm; ``loss`` None for the attack's own; ``starting_points`` like ``inputs`` or
    None; ``samples`` int64 (N,): the number of each in the whole set, which seeds its random numbers and finds its row
    in what a loss holds for each sample; ``region`` what the threat model says of single values; ``auxiliary`` images
    that the attacker owns besides these, or None; ``pool`` the whole set, of which :meth:`at` keeps all.
    """

    model: DefendedModel
    inputs: Tensor
    labels: Tensor
    threat: ThreatModel
    targets: Tensor | Literal["each"] | None
    num_targets: int | None
    epsilon: Tensor | None
    loss: Loss | None
    gradient: GradientEstimator
    criterion: Criterion
    samples: Tensor
    region: Region
    starting_points: Tensor | None = None
    auxiliary: Images | None = None
    pool: Images | None = None
    options: Options = field(default_factory=Options)

    @property
    def target_classes(self) -> int:
        """How many target classes each sample is run for; 1 where there are none."""
        others = self.model.num_classes - 1
        if self.num_targets is not None:
            return min(self.num_targets, others)
        return others if isinstance(self.targets, str) else 1

    @property
    def rounds(self) -> int:
        """Runs of the attack on a sample that lasts to the end."""
        at_once = min(self.options.targets_at_once, self.target_classes)
        return self.options.restarts * -(-self.target_classes // at_once)

    @property
    def has_targets(self) -> bool:
        """Whether the attack is told which class to reach."""
        return self.targets is not None or self.num_targets is not None

    @property
    def own_images(self) -> Images:
        """The attacker's own images, for attacks that need some.

        Raises
        ------
        InvalidInput: there are none.
        """
        if self.auxiliary is None:
            raise InvalidInput("the attack needs images of the attacker's own: pass auxiliary=Images(...)")
        return self.auxiliary

    def at(self, rows: Tensor) -> Problem:
        """The problem on its samples ``rows``, int64 (n,), which keep their random numbers."""
        names = ("inputs", "labels", "targets", "epsilon", "samples", "starting_points")
        parts = {name: getattr(self, name) for name in names}
        chosen: dict[str, Any] = {name: part[rows] for name, part in parts.items() if isinstance(part, Tensor)}
        return replace(self, **chosen, region=self.region.at(rows))

    def gateway(self) -> Gateway:
        """A gateway to the model; open it before anything is asked."""
        budget, losses = self.options.memory_budget, (self.loss, *self.gradient.losses)
        layers = {layer for loss in losses if loss is not None for layer in loss.layers}
        asked = (getattr(self.model.capabilities, name) for name in CAPABILITIES if name in layers)
        also = [one for one in asked if one is not None and not isinstance(one, nn.Module)]
        return Gateway(self.model, self.inputs[:1], seed=self.options.seed, memory_budget=budget, also=also)

    def objective(
        self, gateway: Gateway, loss: Loss, counter: QueryCounter, rows: Tensor, targets: Tensor | None = None
    ) -> Objective:
        """``loss`` on the samples ``rows``, int64 (n,), towards ``targets``, int64 (n,), if there are some."""
        return Objective(gateway, loss, self.labels[rows], targets, self.samples[rows], counter)


@torch.inference_mode(False)
def make_problem(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    threat: ThreatModel | str,
    *,
    targets: Tensor | Literal["each"] | None = None,
    num_targets: int | None = None,
    epsilon: Tensor | None = None,
    loss: Loss | None = None,
    gradient: GradientEstimator | None = None,
    criterion: Criterion | None = None,
    samples: Tensor | None = None,
    starting_points: Tensor | None = None,
    auxiliary: Images | None = None,
    options: Options | None = None,
) -> Problem:
    """Check everything and fill in the defaults: exact gradients, the threat model's goal; the loss is the attack's.

    Parameters
    ----------
    model: a DefendedModel, or any module from inputs in ``threat.bounds`` to logits.
    inputs: float32 or float64 (N, ...), N >= 1.
    labels: integers (N,) below the number of classes.
    threat: a ThreatModel, or text such as ``"linf:8/255"`` within the bounds of a DefendedModel, else of [0, 1].
    targets: classes (N,) to reach, ``"each"`` for every other class in turn, or None.
    num_targets: how many of the likeliest other classes to try in turn, instead of ``targets``.
    epsilon: a budget for each sample, (N,), instead of ``threat.epsilon``.
    auxiliary: images like ``inputs``, with labels, for attacks that learn from images of the attacker's own.

    Raises
    ------
    InvalidInput: anything that no attack can work on; the message says what to change.
    """
    threat = as_threat(threat, bounds=model.bounds if isinstance(model, DefendedModel) else (0.0, 1.0))
    _check_components(loss=loss, gradient=gradient, criterion=criterion, num_targets=num_targets)
    inputs, labels, targets, epsilon, starting_points = map(
        _trackable, (inputs, labels, targets, epsilon, starting_points)
    )
    region = _check_inputs(inputs, threat)
    options = options or Options()
    model = as_defended(model, inputs, threat.bounds, memory_budget=options.memory_budget)
    _warn(model, threat)
    low, high = model.bounds
    if (low, high) != tuple(threat.bounds) and (
        region.lower is None or not (low <= threat.bounds[0] and threat.bounds[1] <= high)
    ):
        raise InvalidInput(f"the model takes inputs in {model.bounds}, the threat model says {threat.bounds}")
    labels = _classes("labels", labels, inputs, model.num_classes)
    if targets is not None and not isinstance(targets, Tensor) and targets != "each":
        raise InvalidInput(
            f"targets {targets!r}: give a tensor of classes, 'each' or None; for the likeliest few, num_targets=3"
        )
    if num_targets is not None and (targets is not None or num_targets < 1):
        raise InvalidInput(f"num_targets is {num_targets}: give at least 1, and no targets beside it")
    if (targets == "each" or num_targets is not None) and not model.scores_classes:
        raise InvalidInput(f"{type(model).__name__} transcribes, and not every sequence can be tried: name the targets")
    if isinstance(targets, Tensor):
        targets = _classes("targets", targets, inputs, model.num_classes)
        if bool((targets == labels).any()):
            raise InvalidInput("a target equals the true label: choose another class for each sample")
    criterion = criterion or default_criterion(model, threat.targeted)
    if targets is None and num_targets is None and (threat.targeted or criterion.needs_targets):
        raise InvalidInput("this goal needs targets: pass targets=<classes (N,)> or targets='each'")
    problem = Problem(
        model=model,
        inputs=inputs.detach(),
        labels=labels,
        threat=threat,
        targets=targets,
        num_targets=num_targets,
        epsilon=_budget(epsilon, inputs, threat),
        loss=loss,
        gradient=gradient or Exact(),
        criterion=criterion,
        samples=torch.arange(len(inputs), device=inputs.device) if samples is None else samples,
        region=region,
        starting_points=_starting_points(starting_points, inputs),
        auxiliary=None if auxiliary is None else _own_images(auxiliary, inputs, threat, model.num_classes),
        pool=Images(inputs.detach(), labels),
        options=options,
    )
    for one in (*(() if loss is None else (loss,)), *problem.gradient.losses):
        check_loss(one, problem)
    return problem


_COMPONENTS: dict[str, tuple[type, str]] = {
    "loss": (Loss, "a loss, such as Margin()"),
    "gradient": (GradientEstimator, "a gradient estimator, such as EOT(20)"),
    "criterion": (Criterion, "a criterion, such as Misclassified()"),
    "num_targets": (Integral, "a whole number"),
}


def _check_components(**given: Any) -> None:
    """Refuse what stands in the place of a component: its class, its name, or that of another library."""
    for name, value in given.items():
        kind, remedy = _COMPONENTS[name]
        if value is not None and not isinstance(value, kind):
            raise InvalidInput(f"{name} is {value!r}: pass {remedy}")


def _warn(model: DefendedModel, threat: ThreatModel) -> None:
    """Of what makes a number mean something else than the caller may think; an evaluation makes findings of it."""
    told = {
        "stochastic": "the answers of the model are random, and it does not say so: successes are judged on several "
        "draws. Set stochastic = True, and average gradients with EOT",
        "batch_dependent": "the answer of the model to an input depends on the others in its batch: it is asked about "
        "one at a time. Give batch normalisation running statistics, or set batch_dependent = True",
    }
    if threat.allows_every_input:
        told["wide"] = f"the budget {threat} is wider than the bounds {threat.bounds}: any input is within it"
    for name in (*model.undeclared, "wide"):
        if name in told:
            warnings.warn(told[name], RobustnessWarning, stacklevel=4)


def _trackable(value: Any) -> Any:
    """A copy of a tensor that was made in inference mode, which no gradient could be taken of; all else as it is."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def check_loss(loss: Loss, problem: Problem) -> None:
    """Raise InvalidInput if ``loss`` asks for targets or classes that are not there."""
    name, classes = type(loss).__name__, problem.model.num_classes
    if loss.needs_targets and not problem.has_targets:
        raise InvalidInput(f"{name} needs targets: pass targets=<classes (N,)> or targets='each'")
    kind, scores = type(problem.model).__name__, "classes" if problem.model.scores_classes else "frames"
    if loss.reads not in (scores, "neither"):
        told = "transcribes: pass loss=CTC() (--loss ctc)" if scores == "frames" else "is no Transcriber"
        raise InvalidInput(f"{name} needs scores of {loss.reads}, and {kind} {told}")
    if classes < loss.min_classes:
        raise InvalidInput(f"{name} needs {loss.min_classes} classes, the model has {classes}")


def _check_inputs(inputs: Tensor, threat: ThreatModel) -> Region:
    """The region around ``inputs``, once they are found to be in it."""
    if not isinstance(inputs, Tensor) or inputs.layout != torch.strided or inputs.is_meta:
        raise InvalidInput(f"inputs is a {type(inputs).__name__}: pass a torch or eagerpy tensor")
    if inputs.dtype not in (torch.float32, torch.float64):
        raise InvalidInput(f"inputs have dtype {inputs.dtype}: convert them to float32 in {threat.bounds}")
    if inputs.ndim < 2:
        raise InvalidInput(f"inputs have shape {tuple(inputs.shape)}: the first dimension is the batch, add it")
    if inputs.numel() == 0:
        raise InvalidInput(f"inputs are empty, shape {tuple(inputs.shape)}: nothing to attack")
    if not bool(inputs.isfinite().all()):
        raise InvalidInput("inputs hold NaN or infinite values: clean the data")
    lowest, highest = float(inputs.min()), float(inputs.max())
    if lowest < threat.bounds[0] or highest > threat.bounds[1]:
        raise InvalidInput(
            f"inputs span [{lowest:.6g}, {highest:.6g}], outside the bounds {threat.bounds}: "
            "rescale them or set the bounds; normalisation belongs inside the model"
        )
    region = Region.of(threat, inputs)
    if region.lower is not None and region.upper is not None:
        outside = (inputs < region.lower) | (inputs > region.upper)
        if bool(outside.any()):
            worst = tuple(int(number) for number in outside.nonzero()[0])
            raise InvalidInput(f"inputs{list(worst)} is outside its bounds: rescale the inputs or set the bounds")
    return region


_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32)


def _classes(name: str, classes: Tensor, inputs: Tensor, count: int) -> Tensor:
    if not isinstance(classes, Tensor) or classes.dtype not in _WHOLE:
        kind = getattr(classes, "dtype", type(classes).__name__)
        raise InvalidInput(f"{name} are {kind}: pass an integer tensor of class numbers, shape (N,), not one-hot")
    if classes.shape != inputs.shape[:1]:
        raise InvalidInput(f"{name} have shape {tuple(classes.shape)} for {len(inputs)} inputs: give one class each")
    classes = classes.to(inputs.device, torch.int64)
    lowest, highest = int(classes.min()), int(classes.max())
    if lowest < 0 or highest >= count:
        raise InvalidInput(f"{name} span {lowest} to {highest}, the model has classes 0 to {count - 1}")
    return classes


def _budget(epsilon: Tensor | None, inputs: Tensor, threat: ThreatModel) -> Tensor | None:
    if epsilon is None:
        return None if threat.epsilon is None else inputs.new_full((len(inputs),), threat.epsilon, dtype=torch.float64)
    if threat.epsilon is None:
        raise InvalidInput("a budget for each sample needs a threat model with an epsilon, not minimum norm")
    if not isinstance(epsilon, Tensor) or epsilon.is_complex():
        raise InvalidInput(f"epsilon is a {type(epsilon).__name__}: give a tensor of one number for each input, (N,)")
    if epsilon.shape != inputs.shape[:1] or not bool((epsilon >= 0).all()) or not bool(epsilon.isfinite().all()):
        raise InvalidInput(f"epsilon has shape {tuple(epsilon.shape)}: give one finite number >= 0 for each input")
    return epsilon.to(inputs.device, torch.float64)


def _starting_points(points: Tensor | None, inputs: Tensor) -> Tensor | None:
    if points is None:
        return None
    if not isinstance(points, Tensor) or not points.is_floating_point():
        kind = getattr(points, "dtype", type(points).__name__)
        raise InvalidInput(f"starting_points are {kind}: pass a floating-point tensor like the inputs")
    if points.shape != inputs.shape:
        raise InvalidInput(f"starting_points have shape {tuple(points.shape)}, the inputs {tuple(inputs.shape)}")
    if not bool(points.isfinite().all()):
        raise InvalidInput("starting_points hold NaN or infinite values: leave them out, or correct them")
    return points.detach().to(inputs.device)


def _own_images(auxiliary: Images, inputs: Tensor, threat: ThreatModel, classes: int) -> Images:
    """The attacker's own images, checked like those attacked and on their device."""
    if not isinstance(auxiliary, Images):
        raise InvalidInput(f"auxiliary is a {type(auxiliary).__name__}: pass advplug.Images(inputs, labels)")
    try:
        _check_inputs(auxiliary.inputs, ThreatModel(threat.norm, threat.epsilon, threat.bounds))
        _classes("labels", auxiliary.labels, auxiliary.inputs, classes)
    except InvalidInput as error:
        raise InvalidInput(f"auxiliary images: {error}") from error
    if auxiliary.inputs.shape[1:] != inputs.shape[1:]:
        shapes = tuple(auxiliary.inputs.shape[1:]), tuple(inputs.shape[1:])
        raise InvalidInput(f"auxiliary images have shape {shapes[0]}, those attacked {shapes[1]}: make them alike")
    return auxiliary.to(inputs.device)
