"""The job that a call in Python describes: ``advplug.evaluate(model, data, "linf:8/255")``.

Texts mean what they mean on the command line, and go the same way from here on, so that both give the same rows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import Any, Literal, SupportsIndex

from advplug.adaptive import Recipe
from advplug.attack import Attack
from advplug.cli import _evaluation, _model, _recipes
from advplug.cli._budgets import smaller_budgets
from advplug.cli._device import usable_device
from advplug.cli._named import function_of
from advplug.cli._order import Order
from advplug.cli._progress import watching, watching_one
from advplug.cli._workers import read_executor
from advplug.criteria import Criterion
from advplug.engine.problem import Progress
from advplug.errors import AdvplugError, InvalidInput
from advplug.evaluation.executors import Executor
from advplug.evaluation.problems import Watch
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.plugins.manager import Manager
from advplug.records import Job
from advplug.spelling import read_loss
from advplug.spelling.grammar import split
from advplug.threat import ThreatModel

NAMED = 100
"""Samples of data that is named, unless ``limit`` says how many: as on the command line."""

MOST_DRAWS = 1000

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
_ARGUMENTS = {"loss": "losses", "gradient": "gradients", "out": "run_dir"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """The arguments of :func:`advplug.evaluate` that say what to run."""

    model: Any
    data: Any
    threat: Any
    attacks: Any
    losses: Any
    gradients: Any
    criterion: Any
    restarts: int
    targets: str | int | None
    limit: int | None
    seed: int
    device: Any
    batch_size: int | None
    bounds: tuple[float, float] | None
    sweep: int | Sequence[float]
    auxiliary: Any
    name: str | None
    run_dir: Path | None
    diagnose: Literal["quick", "full"]
    draws: int

    def __post_init__(self) -> None:
        """Take NumPy's numbers as Python's, which torch and the record of a run ask for."""
        for name in ("restarts", "limit", "seed", "batch_size", "draws"):
            value = getattr(self, name)
            if isinstance(value, SupportsIndex):
                object.__setattr__(self, name, index(value))
        if self.bounds is not None:
            low, high = self.bounds
            object.__setattr__(self, "bounds", (float(low), float(high)))


def job_of(call: Call, manager: Manager) -> tuple[Job, Callable[[], Job] | None]:
    """The job that ``call`` describes, and what makes it again elsewhere, None where it has to be sent there.

    Raises
    ------
    InvalidInput: as the command line does, also where an attack cannot run on it.
    """
    with in_words_of_python():
        if call.diagnose not in ("quick", "full"):
            raise InvalidInput(f"diagnose is {call.diagnose!r}: choose quick or full")
        if not (isinstance(call.draws, int) and 2 <= call.draws <= MOST_DRAWS):
            raise InvalidInput(f"draws is {call.draws!r}: give a number from 2 to {MOST_DRAWS}")
        order = _order_of(call)
        job = order() if order is not None else _made(call, manager)
        job = replace(job, case=call.name or job.case, run_dir=call.run_dir)
        _evaluation.refuse_unfit(job)
    return job, order


def search_job_of(given: Mapping[str, Any], manager: Manager) -> tuple[Job, Callable[[], Job] | None, dict[str, Any]]:
    """The job that a search in Python describes, what makes it again elsewhere, and how its record names its parts.

    Raises
    ------
    InvalidInput: as :func:`job_of`.
    """
    from advplug.composition import Searching

    rest: dict[str, Any] = {
        "losses": None, "gradients": None, "criterion": None, "restarts": 1, "targets": None, "sweep": (),
        "auxiliary": None, "diagnose": "quick", "draws": 16,
    }  # fmt: skip
    call = Call(attacks=Recipe(name="search", attack=Searching()), **given, **rest)
    job, build = job_of(call, manager)
    data = _data(call.data)
    options = {} if call.bounds is None else {"bounds": f"{call.bounds[0]!r},{call.bounds[1]!r}"}
    if call.limit is not None:
        options["limit"] = str(call.limit)
    return (
        job,
        build,
        {
            "model": call.name or (call.model if isinstance(call.model, str) else _title(call.model)),
            "data": data if isinstance(data, str) else "",
            "threat": call.threat if isinstance(call.threat, str) else str(job.threat),
            "options": options,
        },
    )


def executor_of(executor: Any, workers: str | int | None, tracker: Any) -> Executor:
    """Where the attacks run: what ``executor`` is or names, with so many ``workers``; raises as the command line."""
    with in_words_of_python():
        if isinstance(executor, Executor):
            found = executor
        else:
            found = read_executor(executor, None if workers is None else str(workers), None)
        _evaluation.refuse_far_tracking(tracker, found)
        return found


def _order_of(call: Call) -> Order | None:
    """What the command line is given for the same job; None where something is not named but made."""
    named = (call.model, *("" if one is None else one for one in (call.data, call.threat, call.auxiliary)))
    attacks = _listed(call.attacks, "attacks")
    pairs = [(one, {}) if isinstance(one, str) else one for one in attacks]
    if not isinstance(call.criterion, str | None):
        return None
    if not all(isinstance(one, str | Path) for one in named) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    names = [name for name, _ in pairs]
    lists = [None if one is None else _listed(one, "losses") for one in (call.losses, call.gradients)]
    if len(set(names)) < len(names) or not all(isinstance(one, str) for part in lists for one in part or ()):
        return None
    losses, gradients = (None if part is None else ",".join(part) for part in lists)
    sweep, budgets = _sweep(call.sweep)
    values = {
        "model": call.model,
        "data": _data(call.data),
        "threat": call.threat,
        "attacks": ",".join(names),
        "losses": losses,
        "gradients": gradients,
        "criterion": call.criterion,
        "settings": [f"{name}.{key}={value!r}" for name, settings in pairs for key, value in settings.items()],
        "restarts": call.restarts,
        "targets": None if call.targets is None else str(call.targets),
        "auxiliary": _data(call.auxiliary),
        "bounds": _bounds(call),
        "mask": None,
        "surrogate": None,
        "output": None,
        "limit": _limit(call.limit, named=True) or 0,
        "seed": call.seed,
        "device": str(call.device),
        "batch_size": call.batch_size,
    }
    return Order(
        command="evaluate", values=values, epsilons=budgets, sweep=sweep, diagnose=call.diagnose, draws=call.draws
    )


def _bounds(call: Call) -> str | None:
    return None if call.bounds is None else ",".join(map(repr, call.bounds))


def _made(call: Call, manager: Manager) -> Job:
    """The job of a call with objects in it."""
    recipes, names = _read_attacks(call, manager)
    model = call.model if isinstance(call.model, str) else _function(call.model)
    data, is_defense = _data(call.data), _model.is_defense(model, manager)
    if data is None and not is_defense:
        raise InvalidInput("data is missing: pass (inputs, labels), a Dataset, a file, a folder or a data plugin")
    if call.threat is None and not is_defense:
        raise InvalidInput("threat is missing: give norm and budget, such as threat='linf:8/255'")
    if call.bounds is not None and isinstance(call.threat, ThreatModel):
        raise InvalidInput("bounds are part of a ThreatModel: leave bounds out, or give threat as text")
    source = _model.Source(
        model=model,
        data=data,
        auxiliary=_data(call.auxiliary),
        threat=_threat(call.threat),
        bounds=_bounds(call),
        limit=_limit(call.limit, named=data is None or isinstance(data, str)),
        seed=call.seed,
    )
    job = _model.read_job(source, recipes, device=usable_device(str(call.device)), manager=manager)
    case = job.case if isinstance(call.model, str) else _title(call.model)
    job = replace(job, case=call.name or case, seed=call.seed, batch_size=call.batch_size)
    job = _with_criterion(_with_gradients(job, call.gradients), call.criterion)
    job = _evaluation.with_plugins(job, *(f"attack:{name}" for name in names))
    sweep, budgets = _sweep(call.sweep)
    budget_list = smaller_budgets(job.threat, budgets, sweep)
    return replace(job, sweep=budget_list, diagnose=call.diagnose, draws=call.draws)


def progress_of(wanted: bool | Watch | None, attacks: int) -> AbstractContextManager[Watch | None]:
    """What shows how far a job is: ``wanted`` None shows it where somebody looks, on a terminal or in a notebook."""
    if callable(wanted):
        return nullcontext(wanted)
    shown = _somebody_looks() if wanted is None else wanted
    return watching(attacks) if shown else nullcontext(None)


def steps_of(wanted: bool | Progress | None, name: str) -> AbstractContextManager[Progress | None]:
    """What shows the steps of one attack: ``wanted`` None shows them where somebody looks, if the attack takes long."""
    if callable(wanted):
        return nullcontext(wanted)
    if wanted is None:
        return watching_one(name) if _somebody_looks() else nullcontext(None)
    return watching_one(name, after=0.0) if wanted else nullcontext(None)


def _somebody_looks() -> bool:
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


@contextmanager
def in_words_of_python() -> Iterator[None]:
    """Messages name arguments, and not the options of the command line that they stand for."""
    try:
        yield
    except AdvplugError as error:
        text = _OPTION.sub(lambda option: _ARGUMENTS.get(option[1], option[1].replace("-", "_")), str(error))
        if text == str(error):
            raise
        raise type(error)(text) from error


def _read_attacks(call: Call, manager: Manager) -> tuple[list[Recipe], list[str]]:
    """The recipes, of different names, and the plugins that they name."""
    found: list[Recipe] = []
    names: list[str] = []
    for attack in _listed(call.attacks, "attacks"):
        if isinstance(attack, Recipe):
            found.append(attack)
            continue
        name, made = _recipes_of(attack, call, manager)
        names.append(name)
        found += made
    taken: dict[str, int] = {}
    for place, recipe in enumerate(found):
        number = taken[recipe.name] = taken.get(recipe.name, 0) + 1
        if number > 1:
            found[place] = replace(recipe, name=f"{recipe.name} ({number})")
    return found, [name for name in names if name]


def _recipes_of(attack: Any, call: Call, manager: Manager) -> tuple[str, list[Recipe]]:
    """The plugin's name ("" for an attack that is none), and its recipes, one for each loss."""
    name, settings = _settings(attack, manager)
    targets = _recipes.read_targets(None if call.targets is None else str(call.targets))
    if not isinstance(attack, Attack):
        written = [f"{name}.{key}={value!r}" for key, value in settings.items()]
        (base,) = _recipes.read_recipes(
            [name], None, settings=written, restarts=call.restarts, targets=targets, manager=manager
        )
        attack = base.attack
    losses = [] if call.losses is None else [_named_loss(loss) for loss in _listed(call.losses, "losses")]
    library = getattr(manager.find(f"attack:{name}"), "library", "") if name else ""
    title = name or type(attack).__name__
    return name, _recipes.recipes_of(title, attack, losses, library=library, restarts=call.restarts, targets=targets)


def _settings(attack: Any, manager: Manager) -> tuple[str, Mapping[str, Any]]:
    """Name of the plugin and its parameters, of ``"pgd"``, ``("pgd", {"steps": 100})`` or an attack."""
    match attack:
        case str():
            return attack, {}
        case (str() as name, Mapping() as settings):
            return name, settings
        case Attack():
            factory = f"{type(attack).__module__}:{type(attack).__name__}"
            return next((spec.name for spec in manager.specs("attack") if spec.factory == factory), ""), {}
    raise InvalidInput(
        f"attacks has {attack!r}: give names such as 'pgd', pairs such as ('pgd', {{'steps': 100}}), or attacks"
    )


def _named_loss(loss: Any) -> tuple[str, Loss]:
    if isinstance(loss, Loss):
        return repr(loss), loss
    if isinstance(loss, str):
        return loss, read_loss(loss)
    raise InvalidInput(f"losses has {loss!r}: give names such as 'margin', or losses such as Margin()")


def _with_gradients(job: Job, gradients: Any) -> Job:
    if gradients is None:
        return job
    found = []
    for one in _listed(gradients, "gradients"):
        if isinstance(one, str):
            found += _recipes.read_gradients([one])
        elif isinstance(one, GradientEstimator):
            found.append(_recipes.Gradient(repr(one), one, spelled=False))
        else:
            raise InvalidInput(f"gradients has {one!r}: give names such as 'eot:20', or estimators such as EOT(20)")
    return _recipes.with_gradients(job, found)


def _with_criterion(job: Job, criterion: Any) -> Job:
    if criterion is None:
        return job
    if isinstance(criterion, str):
        return _recipes.with_criterion(job, criterion)
    if not isinstance(criterion, Criterion):
        raise InvalidInput(f"criterion is {criterion!r}: give a name such as 'misclassified', or a criterion")
    return _recipes.with_goal(job, criterion)


def _listed(given: Any, name: str) -> list[Any]:
    """One or several things as a list; ``("pgd", {...})`` is one, and so is a text, which may have commas."""
    if isinstance(given, str):
        found: list[Any] = split(given)
    elif isinstance(given, Mapping):
        found = list(given.items())
    elif isinstance(given, list | tuple) and not (len(given) == 2 and isinstance(given[1], Mapping)):
        found = list(given)
    else:
        found = [given]
    if not found:
        raise InvalidInput(f"{name} is empty: name at least one")
    return found


def _function(model: Any) -> Callable[[Any], Any]:
    """A module or function of inputs; what makes one without an argument is called."""
    return function_of(_title(model), model)


def _title(model: Any) -> str:
    """Of a module or an estimator its class, of a function its name."""
    title = str(getattr(model, "__name__", type(model).__name__))
    return title if title.isidentifier() else "function"


def _threat(threat: Any) -> str | ThreatModel | None:
    if threat is None or isinstance(threat, str | ThreatModel):
        return threat
    raise InvalidInput(f"threat is {threat!r}: give text such as 'linf:8/255', or a ThreatModel")


def _limit(limit: int | None, *, named: bool) -> int | None:
    """How many samples, None for all."""
    if limit is not None and not (isinstance(limit, int) and limit >= 0):
        raise InvalidInput(f"limit is {limit!r}: give a number of samples, 0 for all")
    if limit is None:
        return NAMED if named else None
    return limit or None


def _sweep(sweep: int | Sequence[float]) -> tuple[int | None, str | None]:
    """Number of even steps, or the budgets as text."""
    if isinstance(sweep, int):
        if sweep < 2:
            raise InvalidInput(f"sweep is {sweep}: give at least 2 even steps, or the budgets themselves")
        return sweep, None
    return None, ",".join(repr(float(budget)) for budget in sweep) or None


def _data(data: Any) -> Any:
    """What is named, as text; all else as it is."""
    return str(data) if isinstance(data, Path) else data
