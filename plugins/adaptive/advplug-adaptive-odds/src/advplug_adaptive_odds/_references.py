"""The logits of clean images that the attack matches: one for each class, shipped for each preset."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.model import DefendedModel

FOLDER = Path(__file__).parent / "references"


@torch.no_grad()
def of_images(model: DefendedModel, images: Images) -> Tensor:
    """Logits (K, K): row k are those of the clean image of class k whose own logit is the median of its class.

    Images that the model gets wrong do not count.

    Raises
    ------
    InvalidInput: of some class no image is classified correctly.
    """
    logits = model(images.inputs)
    own = logits.gather(1, images.labels[:, None]).squeeze(1)
    right = logits.argmax(1) == images.labels
    rows = []
    for label in range(model.num_classes):
        candidates = (right & (images.labels == label)).nonzero().squeeze(1)
        if not len(candidates):
            raise InvalidInput(f"no image of class {label} is classified correctly: pass more images")
        rows.append(candidates[own[candidates].argsort()[len(candidates) // 2]])
    return cast(Tensor, logits[torch.stack(rows)])


def shipped(preset: str) -> Tensor:
    """The references (K, K) of a preset, from images 4500 to 4999 of the split that it is judged on.

    Raises
    ------
    InvalidInput: none ship for this preset.
    """
    path = FOLDER / f"{preset}.safetensors"
    if not path.is_file():
        raise InvalidInput(f"no reference logits ship for preset {preset!r}: only for those with weights")
    return load_file(path)["logits"]


def single(references: Tensor) -> Tensor:
    """One reference for all classes but its own, which gets another, (K, K) by true class: the source's choice."""
    chosen = references[0].repeat(len(references), 1)
    chosen[0] = references[1]
    return chosen
