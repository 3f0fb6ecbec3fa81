"""The data that a user names: a file, a folder, an object of the user's own code, or a data plugin."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advplug.errors import near

if TYPE_CHECKING:
    import torch

    from advplug.adaptive import Recipe
    from advplug.data import Images
    from advplug.intake.sources import Source
    from advplug.plugins.manager import Manager


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which samples to take; ``limit`` None takes all, and ``seed`` draws so many from a file, a folder or images."""

    data: Any
    auxiliary: Any
    split: str | None
    limit: int | None
    seed: int
    dtype: torch.dtype


@dataclass(frozen=True)
class Samples:
    """The images to attack, where each stands in the data, int64 (N,), how many there are, and the attacker's own."""

    images: Images
    places: torch.Tensor
    total: int
    own: Images | None = None


def say(text: str) -> None:
    """One line on stderr about data that is taken, but perhaps not as it was meant."""
    click.secho(f"! {text}", fg="yellow", err=True)


def names_a_file(name: str, manager: Manager) -> bool:
    """Whether ``name`` means a file or folder of the user's, and not a data plugin; one line where it is both."""
    if name.startswith("data:"):
        return False
    path = Path(name)
    found = path.exists()
    if found and any(spec.name == name.partition(":")[0] for spec in manager.specs("data")):
        say(f"{name} is the {'folder' if path.is_dir() else 'file'} of that name here: data:{name} means the plugin")
    from advplug.intake.archives import SUFFIXES

    return path.suffix in SUFFIXES or found or "/" in name or os.sep in name


def read_samples(request: Request, recipes: Sequence[Recipe], manager: Manager) -> Samples:
    """The images to attack, and those of the attacker's own if one of the attacks needs some."""
    from advplug.evaluation.jobs import OWN_IMAGES, set_apart

    needing = next((recipe for recipe in recipes if recipe.attack.needs_auxiliary), None)
    if needing is None:
        return _read(request, request.limit, manager)
    if request.auxiliary is not None:
        found = _read(request, request.limit, manager)
        own = _read(replace(request, data=request.auxiliary, split=None), None, manager)
        return Samples(found.images, found.places, found.total, own.images)
    found = _read(request, None if request.limit is None else request.limit + OWN_IMAGES, manager)
    attacked, own_images = set_apart(found.images, request.limit, needing.name)
    return Samples(attacked, found.places[: len(attacked)], found.total, own_images)


def names_code(name: str, manager: Manager) -> bool:
    """Whether ``name`` means ``package.module:attribute``, and not a data plugin with a split."""
    first, colon, attribute = name.partition(":")
    if not colon or not attribute or first == "data" or any(spec.name == first for spec in manager.specs("data")):
        return False
    return all(part.isidentifier() for part in (*first.split("."), *attribute.split(".")))


def _read(request: Request, wanted: int | None, manager: Manager) -> Samples:
    """The first ``wanted`` samples, of which the first ``request.limit`` are drawn across classes if they are own."""
    import torch

    from advplug.data import Images

    source = _source(request, manager)
    if source is not None:
        found = source.drawn(None if wanted is None else request.limit, request.seed, wanted)
        return Samples(Images(*found.samples), found.places, found.total)
    plugin, _, chosen = str(request.data).removeprefix("data:").partition(":")
    dataset = manager.load(f"data:{plugin}")()
    default = request.split or ("test" if "test" in dataset.splits else dataset.splits[0])
    loaded: Images = dataset.load(chosen or default, wanted)
    return Samples(loaded, torch.arange(len(loaded)), len(loaded))


def _source(request: Request, manager: Manager) -> Source | None:
    """The user's own data; None if a data plugin is meant."""
    from advplug.intake.given import open_given, open_named
    from advplug.intake.user_images import open_file

    name = request.data
    if not isinstance(name, str):
        return open_given("data", name, dtype=request.dtype)
    if names_a_file(name, manager):
        return open_file(Path(name), dtype=request.dtype, warn=say)
    if not names_code(name, manager):
        return None
    close = near(name.partition(":")[0], [spec.name for spec in manager.specs("data")])
    return open_named(name, dtype=request.dtype, otherwise=f", nor such a data plugin{close}")
