"""``timm:NAME``: a model of timm with the preprocessing of its own configuration."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from torch import nn

from advplug.errors import InvalidInput, near
from advplug.intake.code import said
from advplug.intake.preprocessing import Preprocessed, Preprocessing, checked


def timm_model(text: str) -> Preprocessed:
    """The model that ``NAME`` or ``NAME?checkpoint=FILE&num_classes=10`` names.

    What stands behind the question mark goes to ``timm.create_model``. Without a checkpoint the pretrained weights of
    that name are taken, which timm fetches where it has not got them.

    Raises
    ------
    InvalidInput: timm is not installed or has no such model, or its weights are not to be had.
    """
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision that fits another torch fails in this way
        raise InvalidInput(f"timm:{text} needs timm: pip install 'advplug[timm]' ({said(error)})") from error
    name, _, query = text.partition("?")
    options = _options(text, query)
    if ":" not in name and not timm.is_model(name):
        raise InvalidInput(f"timm has no model {name!r}{near(name, timm.list_models())}: see timm.list_models()")
    try:
        network = timm.create_model(name, **options)
    except Exception as error:  # whatever the library, the hub or a damaged file makes of it
        raise InvalidInput(
            f"timm:{text} could not be made: {said(error)}. Local weights are timm:{name}?checkpoint=FILE"
        ) from error
    return _wrapped(text, network)


def _options(text: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        try:
            options[key] = literal_eval(value.capitalize() if value.lower() in ("true", "false", "none") else value)
        except (ValueError, SyntaxError):
            options[key] = value
    if query and not options:
        raise InvalidInput(f"timm:{text}: write timm:NAME?KEY=VALUE&KEY=VALUE")
    checkpoint = options.pop("checkpoint", None)
    if checkpoint is not None:
        if not Path(str(checkpoint)).is_file():
            raise InvalidInput(f"timm:{text}: no file {checkpoint}: name the weights of the model")
        options["checkpoint_path"] = str(checkpoint)
    return {"pretrained": checkpoint is None, **options}


def _wrapped(text: str, network: nn.Module) -> Preprocessed:
    from timm.data import resolve_model_data_config

    config: Mapping[str, Any] = resolve_model_data_config(network)
    size = int(config["input_size"][1]), int(config["input_size"][2])
    share = float(config.get("crop_pct") or 1)
    squash = config.get("crop_mode") == "squash"
    if squash:
        resized: int | tuple[int, int] = (int(size[0] / share), int(size[1] / share))
    else:
        resized = int(min(size) / share)
    preprocessing = Preprocessing(
        size=size,
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
        resized=resized,
        mode=str(config["interpolation"]),
    )
    classes = int(getattr(network, "num_classes", 0))
    return Preprocessed(network, checked(preprocessing, f"timm:{text}"), classes, _names(network, classes)).eval()


def _names(network: nn.Module, classes: int) -> tuple[str, ...]:
    """The class names of the configuration, or those of the ImageNet that it says it was trained on."""
    own = (getattr(network, "pretrained_cfg", None) or {}).get("label_names")
    if not own:
        from timm.data import ImageNetInfo, infer_imagenet_subset

        subset = infer_imagenet_subset(network)
        own = ImageNetInfo(subset).label_descriptions() if subset else ()
    return tuple(map(str, own)) if len(own) == classes else ()
