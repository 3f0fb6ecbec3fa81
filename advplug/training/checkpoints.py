"""What a training keeps after each epoch, so that it goes on where it was interrupted, to the same bits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.records.files import replace_file

_PLACE: ContextVar[_Place | None] = ContextVar("training checkpoints", default=None)


@dataclass
class _Place:
    """A folder, and how many trainings have begun in it: a defense of several networks trains one after the other."""

    folder: Path
    begun: int = 0


@contextmanager
def checkpoints(folder: Path) -> Iterator[None]:
    """Keep each epoch of the trainings in this block in ``folder``, and begin with what it holds of the same training.

    The folder is removed at the end of the block. An exception or an interruption leaves it.
    """
    token = _PLACE.set(_Place(folder))
    try:
        yield
    finally:
        _PLACE.reset(token)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    if folder.is_dir():
        folder.rmdir()


class Checkpoint:
    """The file of one training, which is told from others by ``settings``, its images and its weights at the start.

    Outside a block of :func:`checkpoints` nothing is kept.
    """

    def __init__(self, model: nn.Module, data: Images, *settings: Any, soft_labels: Tensor | None = None) -> None:
        self._path: Path | None = None
        self._mark, place = "", _PLACE.get()
        if place is not None:
            self._path = place.folder / f"{place.begun}.safetensors"
            self._mark = _mark_of(model, data, soft_labels, *settings)
            place.begun += 1

    def save(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Keep ``tensors`` and ``numbers`` in place of those of the epoch before."""
        if self._path is None:
            return
        self._path.parent.mkdir(exist_ok=True)
        told = {"training": self._mark, "numbers": json.dumps(numbers)}
        copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        replace_file(self._path, lambda temporary: save_file(copies, temporary, told))

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What :meth:`save` kept of this training; None if it kept nothing.

        Raises
        ------
        InvalidInput: the file is damaged, or belongs to another training.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            with safe_open(self._path, "pt") as file:
                told = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        except (OSError, SafetensorError) as error:
            raise InvalidInput(f"{self._path} is damaged ({error}): remove it to train from the start") from error
        if told.get("training") != self._mark:
            raise InvalidInput(
                f"{self._path} was left by a training with other settings, seed or data: remove {self._path.parent} to "
                "train from the start"
            )
        return tensors, json.loads(told["numbers"])


def _mark_of(model: nn.Module, data: Images, soft_labels: Tensor | None, *settings: Any) -> str:
    """A hash of the settings, the images with their labels, and the weights at the start."""
    found = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", repr(settings)).encode())
    soft = () if soft_labels is None else (soft_labels,)
    for tensor in (data.inputs, data.labels, *soft, *model.state_dict().values()):
        found.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()
