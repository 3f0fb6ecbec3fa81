"""The job that a user names: a defense plugin or ``package.module:callable``, with data and threat model."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advplug.errors import InvalidInput, UnknownPlugin

if TYPE_CHECKING:
    from torch import nn

    from advplug.adaptive import Recipe
    from advplug.data import Images
    from advplug.evaluation import Job
    from advplug.plugins.manager import Manager


@dataclass(frozen=True, kw_only=True)
class Source:
    """What to attack, as texts from the command line; ``limit`` None takes all samples.

    ``auxiliary`` names images that the attacker owns besides those, for attacks that learn from some; None for what
    ``limit`` leaves of the data.
    """

    model: str
    data: str | None
    auxiliary: str | None
    threat: str | None
    bounds: tuple[float, float]
    limit: int | None
    seed: int = 0


def read_job(source: Source, recipes: Sequence[Recipe], *, device: str, manager: Manager) -> Job:
    """The job; a defense plugin brings its own data and threat model where none are given."""
    if is_defense(source.model, manager):
        return _defense_job(source, recipes, device, manager)
    return _own_job(source, recipes, device, manager)


def is_defense(name: str, manager: Manager) -> bool:
    """Whether ``name`` means a defense plugin: it is one's name, or has no module path after it."""
    first, colon, _ = name.partition(":")
    return not colon or any(spec.name == first for spec in manager.specs("defense"))


def read_model(name: str) -> nn.Module:
    """The module at ``package.module:attribute``, or what the callable there returns; the working directory counts.

    Raises
    ------
    InvalidInput: there is no such thing, it fails, or it is no module.
    """
    from torch import nn

    path, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; the console script does not
    found: Any
    try:
        found = import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(error.name + ".")):
            raise InvalidInput(f"{name}: no module {error.name} is to be found, nor such a defense plugin") from error
        raise InvalidInput(f"{name}: {path} needs {error.name}, which is not installed") from error
    except Exception as error:
        raise InvalidInput(f"{name}: {path} could not be imported ({type(error).__name__}: {error})") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidInput(f"{name}: {path} has no {attribute or 'attribute of no name'}")
        found = getattr(found, part)
    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InvalidInput(f"{name}() failed with {type(error).__name__}: {error}") from error
    if not isinstance(found, nn.Module):
        raise InvalidInput(f"{name} is of type {type(found).__name__}: name a torch.nn.Module or what returns one")
    return found


def read_data(
    name: str, limit: int | None, manager: Manager, split: str | None = None, *, seed: int = 0, drawn: int | None = None
) -> Images:
    """A file or folder of the user's, or ``plugin[:split]``; ``split`` is the one to take where none is named.

    Of a file or folder the first ``drawn`` images are drawn across its classes.
    """
    from advplug.evaluation.user_images import in_drawn_order, read_images

    if Path(name).suffix == ".npz" or Path(name).is_dir() or "/" in name or os.sep in name:
        images = in_drawn_order(read_images(Path(name)), drawn, seed)
        return images if limit is None else images[:limit]
    plugin, _, chosen = name.removeprefix("data:").partition(":")
    dataset = manager.load(f"data:{plugin}")()
    default = split or ("test" if "test" in dataset.splits else dataset.splits[0])
    loaded: Images = dataset.load(chosen or default, limit)
    return loaded


def _split(
    source: Source, name: str, recipes: Sequence[Recipe], manager: Manager, split: str | None = None
) -> tuple[Images, Images | None]:
    """The images to attack, and those of the attacker's own if one of the attacks needs some."""
    from advplug.evaluation.jobs import OWN_IMAGES, set_apart

    needing = next((recipe for recipe in recipes if recipe.attack.needs_auxiliary), None)
    if needing is None:
        return read_data(name, source.limit, manager, split, seed=source.seed, drawn=source.limit), None
    if source.auxiliary is not None:
        return read_data(name, source.limit, manager, split, seed=source.seed, drawn=source.limit), read_data(
            source.auxiliary, None, manager
        )
    wanted = None if source.limit is None else source.limit + OWN_IMAGES
    images = read_data(name, wanted, manager, split, seed=source.seed, drawn=source.limit)
    return set_apart(images, source.limit, needing.name)


def _own_job(source: Source, recipes: Sequence[Recipe], device: str, manager: Manager) -> Job:
    from advplug.evaluation import model_job
    from advplug.threat import ThreatModel

    if source.data is None:
        raise InvalidInput("--data is missing: give an .npz file, a folder of images or a data plugin")
    if source.threat is None:
        raise InvalidInput("--threat is missing: give norm and budget, such as --threat linf:8/255")
    threat = ThreatModel.parse(source.threat, bounds=source.bounds)
    images, own = _split(source, source.data, recipes, manager)
    model = read_model(source.model)
    job = model_job(source.model, model, _in_bounds(images, source.bounds), threat, recipes, device=device)
    return replace(job, auxiliary=None if own is None else _in_bounds(own, source.bounds))


def _in_bounds(images: Images, bounds: tuple[float, float]) -> Images:
    low, high = bounds
    return replace(images, inputs=(low + (high - low) * images.inputs).clamp(low, high))


def _defense_job(source: Source, recipes: Sequence[Recipe], device: str, manager: Manager) -> Job:
    from advplug.evaluation import model_job
    from advplug.threat import ThreatModel

    name, _, preset = source.model.partition(":")
    try:
        defense = manager.load(f"defense:{name}")()
    except UnknownPlugin as error:
        raise UnknownPlugin(f"{error}. A model of your own is package.module:callable") from error
    preset = preset or next(iter(defense.presets))
    chosen = defense.preset(preset)
    split = None if source.data else chosen.test_split
    images, own = _split(source, source.data or chosen.data, recipes, manager, split)
    model = defense.build(preset, device)
    threat = chosen.threat if source.threat is None else ThreatModel.parse(source.threat, bounds=model.bounds)
    job = model_job(name, model, images, threat, recipes, device=device)
    return replace(job, preset=preset, plugins=(f"defense:{name}",), auxiliary=own)
