"""``hf:FOLDER``: an image classifier of transformers with the preprocessing that is saved beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advplug.errors import InvalidInput
from advplug.intake.code import said
from advplug.intake.preprocessing import Preprocessed, Preprocessing, checked

FILES = ("preprocessor_config.json", "processor_config.json")
MODES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers of its interpolations."""


def hf_model(text: str) -> Preprocessed:
    """The model in the folder ``text``, as ``save_pretrained`` of model and image processor leaves it.

    Raises
    ------
    InvalidInput: no such folder, transformers is not installed, or the folder holds no image classifier.
    """
    folder = Path(text)
    if not (folder / "config.json").is_file():
        raise InvalidInput(
            f"hf:{text} is no folder with a config.json: save model and image processor there with save_pretrained, or "
            "fetch them with hf download NAME --local-dir FOLDER"
        )
    try:
        from transformers import AutoModelForImageClassification
    except (ImportError, RuntimeError) as error:
        raise InvalidInput(f"hf:{text} needs transformers: pip install 'advplug[hf]' ({said(error)})") from error
    preprocessing = checked(_preprocessing(folder), f"hf:{text}")
    try:
        network = AutoModelForImageClassification.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # whatever the library makes of a damaged folder
        raise InvalidInput(f"hf:{text} is no image classifier that can be loaded: {said(error)}") from error
    config = network.config
    return Preprocessed(network, preprocessing, int(config.num_labels), _names(config)).eval()


def _preprocessing(folder: Path) -> Preprocessing:
    config = _config(folder)
    for name in ("rescale_offset", "include_top"):
        if config.get(name):
            raise InvalidInput(
                f"{folder}: the image processor sets {name}, which is not known here: name the model as "
                "package.module:callable with its preprocessing inside"
            )
    normalises, rescales = config.get("do_normalize", True), config.get("do_rescale", True)
    mean = _floats(config.get("image_mean")) if normalises else (0.0, 0.0, 0.0)
    std = _floats(config.get("image_std")) if normalises else (1.0, 1.0, 1.0)
    factor = float(config.get("rescale_factor", 1 / 255)) if rescales else 1.0
    size, resized = _sizes(folder, config)
    mode = MODES.get(config.get("resample", 2), "bilinear")
    return Preprocessing(size=size, mean=mean, std=std, resized=resized, mode=mode, scale=255 * factor)


def _config(folder: Path) -> Mapping[str, Any]:
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        raise InvalidInput(f"{folder} has no {FILES[0]}: save the image processor there, processor.save_pretrained")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        found: Mapping[str, Any] = config.get("image_processor") or config
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{file}: damaged ({said(error)}): save the image processor again") from error
    return found


def _sizes(folder: Path, config: Mapping[str, Any]) -> tuple[tuple[int, int] | None, int | tuple[int, int] | None]:
    """What the network takes, and what an image is resized to before its centre is cut out."""
    resizes, crops = config.get("do_resize", True), config.get("do_center_crop", False)
    size = config.get("size") if resizes else None
    crop = _pair(config.get("crop_size")) if crops else None
    if isinstance(size, Mapping) and "shortest_edge" in size:
        shortest = int(size["shortest_edge"])
        share = config.get("crop_pct")
        if share and shortest < 384:  # ConvNeXT: resize to more, and cut the centre out
            return (shortest, shortest), int(shortest / float(share))
        if share:
            return (shortest, shortest), (shortest, shortest)
        return crop or (shortest, shortest), shortest
    pair = _pair(size)
    if resizes and pair is None:
        raise InvalidInput(f"{folder}: the image processor has size {size!r}: give height and width, or shortest_edge")
    return crop or pair, pair


def _pair(size: Any) -> tuple[int, int] | None:
    if isinstance(size, Mapping) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    return (int(size), int(size)) if isinstance(size, int) else None


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values)) if isinstance(values, list | tuple) else ()


def _names(config: Any) -> tuple[str, ...]:
    """The class names in order; none where they are placeholders."""
    names = tuple(str(config.id2label.get(number, "")) for number in range(int(config.num_labels)))
    return () if any(name in ("", f"LABEL_{number}") for number, name in enumerate(names)) else names
