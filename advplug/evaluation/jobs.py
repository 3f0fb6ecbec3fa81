"""Jobs: a case of a broken defense, or a user's own model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.data import Dataset, Images
from advplug.defense import Defense
from advplug.engine.model_probe import as_defended
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.plugins.manager import Manager, default_manager
from advplug.records.job import Job
from advplug.threat import ThreatModel, as_threat

OWN_IMAGES = 5000
"""How many images of the same data, at most, go to attacks that need some of the attacker's own."""


def case_job(
    name: str,
    *,
    preset: str | None = None,
    limit: int | None = 100,
    seed: int = 0,
    device: torch.device | str = "cpu",
    images: Images | None = None,
    weights: Path | None = None,
    extra: Sequence[Recipe] = (),
    sweep: Sequence[float] = (),
    batch_size: int | None = None,
    run_dir: Path | None = None,
    manager: Manager | None = None,
) -> Job:
    """The job behind ``advplug break NAME``.

    Parameters
    ----------
    preset: configuration of the defense, its first one for None.
    limit: number of test images, None for all.
    images: the user's own, instead of the preset's test split.
    extra: further recipes, run after the case's own.

    Raises
    ------
    UnknownPlugin, BrokenPlugin: the case, its defense or its data set is not to be had.
    MissingWeights, DataUnavailable: the preset ships no weights, or its data is not here.
    """
    manager = manager or default_manager()
    case: AdaptiveAttack = manager.load(f"adaptive:{name}")()
    defense: Defense = manager.load(f"defense:{case.breaks}")()
    preset = preset or next(iter(defense.presets))
    configuration = defense.preset(preset)
    model = defense.build(preset, device, weights)
    needing = next((recipe for recipe in extra if recipe.attack.needs_auxiliary), None)
    if images is None:
        dataset: Dataset = manager.load(f"data:{configuration.data}")()
        wanted = limit if limit is None or needing is None else limit + OWN_IMAGES
        images = dataset.load(configuration.test_split, wanted)
    own = None
    if needing is not None:
        images, own = set_apart(images, limit, needing.name)
    threat = configuration.threat
    return Job(
        case=name,
        preset=preset,
        model=model,
        images=(images if limit is None else images[:limit]).to(device),
        threat=threat,
        recipes=(*case.baselines(preset, threat), *case.recipes(preset, threat, model), *extra),
        seed=seed,
        batch_size=batch_size,
        claim=case.claim,
        lesson=case.lesson,
        plugins=(f"adaptive:{name}", f"defense:{case.breaks}", f"data:{configuration.data}"),
        sweep=tuple(sweep),
        auxiliary=own,
        run_dir=run_dir,
    )


def set_apart(images: Images, limit: int | None, attack: str) -> tuple[Images, Images]:
    """The first ``limit`` images to attack, the rest for the attacker; ``attack`` is the one that needs them.

    Raises
    ------
    InvalidInput: there is no rest.
    """
    if limit is None or len(images) <= limit:
        raise InvalidInput(
            f"{attack} needs images that the attacker owns, and all {len(images)} are attacked: lower --limit, or name "
            "other ones with --auxiliary"
        )
    return images[:limit], images[limit:]


def model_job(
    name: str,
    model: nn.Module,
    images: Images,
    threat: ThreatModel | str,
    recipes: Sequence[Recipe],
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    sweep: Sequence[float] = (),
    run_dir: Path | None = None,
) -> Job:
    """The job behind ``advplug evaluate``: any module from images in ``threat.bounds`` to logits."""
    if not recipes:
        raise InvalidInput("no attacks to run: name at least one")
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"the model is a {type(model).__name__}: pass a torch.nn.Module, or a PlainModel around it")
    threat = as_threat(threat, bounds=model.bounds if isinstance(model, DefendedModel) else (0.0, 1.0))
    images, model = images.to(device), model.to(device)
    return Job(
        case=name,
        model=as_defended(model, images.inputs, threat.bounds),
        images=images,
        threat=threat,
        recipes=tuple(recipes),
        seed=seed,
        batch_size=batch_size,
        sweep=tuple(sweep),
        run_dir=run_dir,
    )
