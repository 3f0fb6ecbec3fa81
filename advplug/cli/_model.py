"""The job that a user names: a defense plugin or ``package.module:callable``, with data and threat model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from advplug.cli import _limits
from advplug.cli._counts import whole
from advplug.cli._data import Request, Samples, read_samples, say
from advplug.cli._named import read_function
from advplug.errors import InvalidInput, UnknownPlugin
from advplug.intake.code import said

if TYPE_CHECKING:
    import torch
    from torch import nn

    from advplug.adaptive import Recipe
    from advplug.data import Images
    from advplug.evaluation import Job
    from advplug.intake.value_range import Bounds
    from advplug.plugins.manager import Manager
    from advplug.threat import ThreatModel


@dataclass(frozen=True, kw_only=True)
class Source:
    """What to attack, as texts from the command line or as a caller has it; ``limit`` None takes all samples.

    ``auxiliary`` names images that the attacker owns besides those, for attacks that learn from some; None for what
    ``limit`` leaves of the data.
    """

    model: str | Callable[[Any], Any]
    data: Any
    auxiliary: Any
    threat: str | ThreatModel | None
    bounds: str | None
    mask: str | None = None
    surrogate: str | None = None
    output: str | None = None
    limit: int | None
    seed: int = 0

    @property
    def name(self) -> str:
        """Of the model, for tables."""
        return self.model if isinstance(self.model, str) else type(self.model).__name__

    def read_threat(self, bounds: Bounds) -> ThreatModel:
        """The threat model, whose text leaves ``bounds`` open."""
        return _limits.read_threat(self.threat, bounds) if isinstance(self.threat, str) else cast("Any", self.threat)

    def read_bounds(self) -> Bounds:
        """The range of inputs: that of a threat model, or what ``bounds`` says."""
        if self.threat is None or isinstance(self.threat, str):
            return _limits.read_bounds(self.bounds)
        return _limits.bounds_of(self.threat)

    def read_mask(self) -> Any:
        """Where values may change, None for everywhere."""
        if self.mask is not None:
            return _limits.read_mask(self.mask)
        mask = None if self.threat is None or isinstance(self.threat, str) else self.threat.mask
        return None if mask is None else mask.array


def read_job(source: Source, recipes: Sequence[Recipe], *, device: str, manager: Manager) -> Job:
    """The job; a defense plugin brings its own data and threat model where none are given."""
    job = (_defense_job if is_defense(source.model, manager) else _own_job)(source, recipes, device, manager)
    if source.surrogate is not None:
        from advplug.cli._surrogate import with_surrogate

        job = with_surrogate(job, source.surrogate)
    other = next((recipe for recipe in job.recipes if recipe.library != "advplug"), None)
    if other is not None and not job.threat.uniform:  # its own check comes when it runs, after other attacks
        raise InvalidInput(f"{other.name} knows no mask, and no bounds or budgets from files: leave it out")
    return job


def is_defense(name: str | Callable[[Any], Any], manager: Manager) -> bool:
    """Whether ``name`` means a defense plugin: it is one's name, or has no module path after it."""
    if not isinstance(name, str):
        return False
    first, colon, _ = name.partition(":")
    return not colon or any(spec.name == first for spec in manager.specs("defense"))


def _samples(
    source: Source,
    data: Any,
    recipes: Sequence[Recipe],
    manager: Manager,
    *,
    dtype: torch.dtype,
    split: str | None = None,
) -> Samples:
    request = Request(
        data=data, auxiliary=source.auxiliary, split=split, limit=source.limit, seed=source.seed, dtype=dtype
    )
    return read_samples(request, recipes, manager)


def _own_job(source: Source, recipes: Sequence[Recipe], device: str, manager: Manager) -> Job:
    import torch

    from advplug.engine.frozen import dtype_of
    from advplug.evaluation import model_job
    from advplug.intake.value_range import in_range, rounded

    if source.data is None:
        raise InvalidInput("--data is missing: give an .npz file, a folder of images or a data plugin")
    if source.threat is None:
        raise InvalidInput("--threat is missing: give norm and budget, such as --threat linf:8/255")
    bounds = source.read_bounds()
    threat, mask = source.read_threat(bounds), source.read_mask()
    function = _function(source.model)
    exact = isinstance(function, torch.nn.Module) and dtype_of(function) == torch.float64
    dtype = torch.float64 if exact else torch.float32
    bounds = rounded(bounds, dtype)
    samples = _samples(source, source.data, recipes, manager, dtype=dtype)
    title = source.data if isinstance(source.data, str) else "data"
    images = in_range(samples.images, bounds, title, option="--bounds")
    images = _named_classes(images, function, title)
    _warn_of_floats(images, title, bounds)
    own = None if samples.own is None else in_range(samples.own, bounds, "--auxiliary", option="--bounds")
    threat = _at(samples, _limits.within(threat, bounds), mask, source)
    model = _module(source, function, images.inputs[:1].to(device), threat.bounds)
    recipes = _recipes_at(samples, recipes)
    return replace(model_job(source.name, model, images, threat, recipes, device=device), auxiliary=own)


def _function(name: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The model itself: ``timm:NAME``, ``hf:FOLDER``, ``package.module:callable``, or what the caller has."""
    if not isinstance(name, str):
        return name
    library, _, rest = name.partition(":")
    if library == "timm":
        from advplug.intake.timm_models import timm_model

        return timm_model(rest)
    if library == "hf":
        from advplug.intake.hf_models import hf_model

        return hf_model(rest)
    return read_function(name)


def _named_classes(images: Images, function: Callable[[Any], Any], name: str) -> Images:
    """``images`` with the class names of the model if they have none; one line where both have, and they differ."""
    from advplug.intake.preprocessing import Preprocessed

    theirs: tuple[str, ...] = getattr(function, "class_names", ()) if isinstance(function, Preprocessed) else ()
    if not images.class_names or not theirs:
        return replace(images, class_names=images.class_names or theirs)
    pairs = enumerate(zip(images.class_names, theirs, strict=False))
    other = next(((number, mine, its) for number, (mine, its) in pairs if mine.lower() != its.lower()), None)
    if other is not None:
        number, mine, its = other
        say(f"{name}: class {number} is {mine} in the data, {its} in the model: check that they number alike")
    return images


def _module(
    source: Source, function: Callable[[Any], Any], example: torch.Tensor, bounds: tuple[float, float]
) -> nn.Module:
    """``function`` if it is a module with one answer; else as a model, whose answer to one input tells the classes.

    Raises
    ------
    InvalidInput: it does not answer with scores.
    """
    import torch

    from advplug.engine.model_probe import plain_model
    from advplug.model import DefendedModel

    output, is_module = source.output, isinstance(function, torch.nn.Module)
    if isinstance(function, torch.nn.Module):
        if output is None:
            return function
        if isinstance(function, DefendedModel):  # wrapped once more it would no longer decide or reject
            raise InvalidInput(
                f"--output {output}: {source.name} is a {type(function).__name__}: leave --output out, and let its "
                "forward return the scores alone"
            )
        function = function.to(example.device).eval()
    number = None if output is None else whole(output)
    try:
        return plain_model(function, example, bounds, output=output if number is None else number)
    except InvalidInput as error:
        if is_module:
            raise
        raise InvalidInput(f"{error}. If {source.name} makes the model, let it take no argument") from error
    except SystemExit as error:
        raise InvalidInput(f"the model does not take inputs of shape {tuple(example.shape)}: {said(error)}") from error


def _warn_of_floats(images: Images, name: str, bounds: Bounds) -> None:
    """One line where floating-point values may have been meant as pixels."""
    from advplug.intake.value_range import span, within_unit_range

    low, high = span(bounds)
    if not images.pixels and (low, high) != (0, 1) and low <= 0 and high >= 1 and within_unit_range(images):
        say(
            f"{name}: floating-point values in [0, 1] are taken as they are, within the bounds [{low:.6g}, "
            f"{high:.6g}]; pixels of type uint8 would be rescaled to them"
        )


def _at(samples: Samples, threat: ThreatModel, mask: Any, source: Source) -> ThreatModel:
    """``threat`` with the mask, and with the rows of mask and budgets that belong to the samples."""
    place = samples.images, samples.places, samples.total
    if threat.budgets is not None:
        threat = replace(threat, epsilon=_limits.rows_of(f"--threat {source.threat}", threat.budgets, *place))
    if mask is not None:
        threat = replace(threat, mask=_limits.rows_of(f"--mask {source.mask}", mask, *place))
    fixed = _limits.without_room(threat, samples.images)
    if fixed:
        say(
            f"{fixed} of {len(samples.images)} samples have no value that may change (a mask or a budget of 0): "
            "no attack can break them"
        )
    return threat


def _recipes_at(samples: Samples, recipes: Sequence[Recipe]) -> list[Recipe]:
    """``recipes`` with the rows of their losses' references that belong to the samples."""
    places, total = samples.places, samples.total
    return [replace(one, loss=None if one.loss is None else one.loss.at(places, total)) for one in recipes]


def _defense_job(source: Source, recipes: Sequence[Recipe], device: str, manager: Manager) -> Job:
    import torch

    from advplug.evaluation import model_job
    from advplug.intake.value_range import rounded

    if source.output is not None:
        raise InvalidInput("--output names an entry of what a model of your own answers: a defense plugin needs none")
    name, _, preset = source.name.partition(":")
    try:
        defense = manager.load(f"defense:{name}")()
    except UnknownPlugin as error:
        raise UnknownPlugin(f"{error}. A model of your own is package.module:callable") from error
    preset = preset or next(iter(defense.presets))
    chosen = defense.preset(preset)
    mask = source.read_mask()
    split = None if source.data else chosen.test_split
    samples = _samples(source, source.data or f"data:{chosen.data}", recipes, manager, dtype=torch.float32, split=split)
    model = defense.build(preset, device)
    bounds = model.bounds if source.bounds is None else _limits.read_bounds(source.bounds)
    threat = chosen.threat if source.threat is None else source.read_threat(bounds)
    if source.bounds is not None:
        threat = _limits.within(threat, rounded(bounds, torch.float32))
    threat, recipes = _at(samples, threat, mask, source), _recipes_at(samples, recipes)
    job = model_job(name, model, samples.images, threat, recipes, device=device)
    own = () if source.data else (f"data:{chosen.data}",)
    return replace(job, preset=preset, plugins=(f"defense:{name}", *own), auxiliary=samples.own)
