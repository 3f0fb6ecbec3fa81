"""What an attack plugin is: how to search, and nothing else.

Restarts, targets, best points, early end, queries, seeds, batches and verification belong to the engine.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from functools import wraps
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import eagerpy as ep
from torch import Tensor

from advplug.engine.gateway import Gateway
from advplug.engine.model_probe import as_defended
from advplug.engine.problem import Options, Problem
from advplug.engine.result import AttackResult
from advplug.engine.task import GradientQuery, Query, Task
from advplug.hyperparameters import check_hyperparameters
from advplug.losses import CrossEntropy, Loss
from advplug.numerics.tensors import norms
from advplug.search_space import Space, space_of
from advplug.specs import imported

__all__ = [
    "Attack",
    "Course",
    "Gateway",
    "GradientQuery",
    "HasPoint",
    "IterativeAttack",
    "Options",
    "Point",
    "Problem",
    "Query",
    "Stage",
    "Task",
    "as_defended",
]

# text, as in a spec: whoever has no Foolbox can import this
_FOOLBOX_CALL = "advplug.interop.foolbox:call_as_foolbox"
_FOOLBOX_RUN = "advplug.interop.foolbox:run_as_foolbox"
_FOOLBOX_DISTANCE = "advplug.interop.foolbox:distance_of"
_REPEATED = "advplug.families.repeated:Repeated"


class Attack(ABC):
    """An attack: a frozen dataclass whose keyword-only fields are its hyper-parameters, with the paper's defaults.

    Values are checked against the types of the fields; see :mod:`advplug.hyperparameters`. A subclass sets the
    properties that differ, ``norms = ("l2",)`` or ``minimum_norm = True``.

    It is called as Foolbox's attacks are, too; see :mod:`advplug.interop.foolbox`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "run" in vars(cls):
            cls.run = _run_of_both(cls.run)  # type: ignore[method-assign]

    @property
    def norms(self) -> tuple[str, ...]:
        """The norms that it can work under."""
        return ("linf", "l2", "l1", "l0")

    @property
    def minimum_norm(self) -> bool:
        """Whether it looks for the smallest perturbation and needs no budget."""
        return False

    @property
    def needs_budget(self) -> bool:
        """Whether it finds no smallest perturbation, not even when the engine tries one budget after another.

        That is so of an attack of several stages, which go on with what others left within the same budget.
        """
        return not self.minimum_norm and type(self).stages is not Attack.stages

    @property
    def needs_auxiliary(self) -> bool:
        """Whether it needs images of the attacker's own."""
        return False

    @property
    def fixed_loss(self) -> bool:
        """Whether it takes no other losses than its own."""
        return False

    @property
    def begins_at_inputs(self) -> bool:
        """Whether it first asks for the gradient at the inputs: one forward pass gives the clean decision as well."""
        return False

    def __post_init__(self) -> None:
        """Check the hyper-parameters. Override to check them against each other, and call this first."""
        if is_dataclass(self):
            check_hyperparameters(self)
        if "foolbox.attacks.base" in sys.modules:  # Foolbox asks by isinstance which attacks it may start from
            imported(_FOOLBOX_CALL)

    @abstractmethod
    def run(self, task: Task) -> None:
        """Search. Every point that is evaluated through ``task`` is a candidate; nothing is returned.

        Called as ``run(model, inputs, criterion, ...)`` it is Foolbox's method of that name instead, and returns the
        perturbed inputs: :func:`advplug.interop.foolbox.run_as_foolbox`.
        """

    def stages(self, problem: Problem) -> Sequence[Stage] | None:
        """Attacks to run instead of this one, each on the survivors of those before; None runs it itself."""
        return None

    @property
    def chooses_stages(self) -> bool:
        """Whether :meth:`next_stage` goes on after the last of :meth:`stages`."""
        return False

    def next_stage(self, problem: Problem, course: Course) -> Stage | None:
        """The stage that follows those that ran, None after the last: of an attack with stages the next of them.

        An attack that sets ``chooses_stages`` may choose by what the others left. The same ``problem`` and ``course``
        must give the same stage: a run that was interrupted asks again.
        """
        return course.planned

    def prepare(self, problem: Problem, gateway: Gateway) -> Any:
        """What all batches of a run share, such as a model trained for it; they read it as ``task.prepared``.

        ``gateway.scores(x)`` gives scores (m, K) of the model for inputs (m, ...), charged in equal parts to all
        samples.
        """
        return None

    @classmethod
    def search_space(cls) -> Space | None:
        """What a search for an adaptive attack tries of its parameters; None keeps the attack out of it.

        Read from the types of the fields unless overridden: see :mod:`advplug.search_space`.
        """
        return space_of(cls) if is_dataclass(cls) else {}

    @property
    def planned_steps(self) -> int:
        """Steps of one run, for progress bars."""
        return 1

    @property
    def default_loss(self) -> Loss:
        """The loss that it minimises where nobody names another."""
        return CrossEntropy()

    def cost(self, delta: Tensor, norm: str) -> Tensor:
        """What a minimum-norm run makes small, float64 (n,) for perturbations (n, ...): the norm, unless overridden."""
        return norms(delta, norm)

    def __call__(self, model: Any, inputs: Any, criterion: Any, *, epsilons: Any, **options: Any) -> Any:
        """Foolbox's calling convention: ``raw, clipped, success``. See :mod:`advplug.interop.foolbox`."""
        return imported(_FOOLBOX_CALL)(self, model, inputs, criterion, epsilons=epsilons, **options)

    def repeat(self, times: int) -> Attack:
        """This attack ``times`` times, of which the best result counts: as many restarts for each one."""
        return cast(Attack, imported(_REPEATED)(attack=self, times=times))

    @property
    def distance(self) -> Any:
        """The Foolbox distance that a call in Foolbox's form measures, unless it names another."""
        return imported(_FOOLBOX_DISTANCE)(self)

    def parameters(self) -> dict[str, Any]:
        """The hyper-parameters by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.parameters().items())})"


def _run_of_both(search: Callable[[Any, Task], None]) -> Callable[..., Any]:
    """``search(attack, task)``, which takes Foolbox's arguments, too."""
    if getattr(search, "takes_foolbox", False):  # a dataclass with slots is made twice
        return search

    @wraps(search)
    def run(self: Attack, *given: Any, **named: Any) -> Any:
        if len(given) + len(named) == 1 or (given and isinstance(given[0], Task)):
            return search(self, *given, **named)
        return imported(_FOOLBOX_RUN)(self, *given, **named)

    run.takes_foolbox = True  # type: ignore[attr-defined]
    return run


class Stage(NamedTuple):
    """One attack of several that run one after the other; ``name`` as it stands in tables.

    ``spent`` are forward and backward passes that choosing it took, int64 (N,) each; they are charged with its own.
    """

    name: str
    attack: Attack
    problem: Problem
    spent: tuple[Tensor, Tensor] | None = None

    @property
    def planned_steps(self) -> int:
        """Steps of all its rounds, if every sample lasts."""
        return self.attack.planned_steps * self.problem.rounds


class Course(NamedTuple):
    """How far an attack of several stages is.

    ``planned`` is the next of :meth:`Attack.stages`, None after the last; where one was left out, because the model
    gives no gradient, finite differences follow the others. ``before`` is the result of those that ran, None before
    the first, and ``left_out`` names those that could not run.
    """

    planned: Stage | None
    before: AttackResult | None
    left_out: tuple[str, ...]


class HasPoint(Protocol):
    """A search state holds the current point ``x`` (n, ...)."""

    @property
    def x(self) -> ep.Tensor: ...


class Point(NamedTuple):
    """The state of an attack that remembers no more than the current point ``x`` (n, ...)."""

    x: ep.Tensor


State = TypeVar("State", bound=HasPoint)


class IterativeAttack(Attack, Generic[State]):
    """An attack in steps: ``init`` and ``step`` read like the algorithm box of the paper; ``steps`` says how many.

    The state is a dataclass or named tuple. Every tensor in it has one row per sample, so that the engine can drop
    the samples that are done; what is common to all samples is a Python number.
    """

    steps: int

    @abstractmethod
    def init(self, task: Task) -> State:
        """The state before the first step."""

    @abstractmethod
    def step(self, task: Task, state: State) -> State:
        """One step: one call of ``task.gradient``, ``task.query`` or ``task.evaluate``, then the next point."""

    def run(self, task: Task) -> None:
        state = self.init(task)
        for task.t in range(self.planned_steps):
            state = self.step(task, state)
            state = task.drop_finished(state)
            if task.finished:
                return
        self.conclude(task, state)

    def conclude(self, task: Task, state: State) -> None:
        """After the last step: judge the last point. Override to judge another, or under a condition."""
        task.evaluate(state.x)

    @property
    def planned_steps(self) -> int:
        return self.steps
