"""Data as a program has it: datasets, loaders, tensors, arrays, or the name of one of them."""

from __future__ import annotations

import inspect
from typing import Any

import eagerpy as ep
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from advplug.errors import InvalidInput
from advplug.intake.arrays import Labelled, labelled, pair_of
from advplug.intake.code import found, made, required, working_directory
from advplug.intake.saved_datasets import is_dataset, open_columns
from advplug.intake.sources import Source, held
from advplug.intake.torch_datasets import open_dataset, open_loader


def open_given(name: str, thing: Any, *, dtype: torch.dtype = torch.float32) -> Source:
    """The samples of a torch Dataset or DataLoader, of a dataset of Hugging Face, of a pair (x, y), or of a mapping.

    ``name`` is what messages begin with. ``Images`` are taken as they are.

    Raises
    ------
    InvalidInput: something else, or data of another form.
    """
    if isinstance(thing, DataLoader):
        return open_loader(name, thing, dtype)
    if is_dataset(thing):
        return open_columns(name, thing, dtype)
    if isinstance(thing, Dataset):
        return open_dataset(name, thing, dtype)
    if isinstance(getattr(thing, "inputs", None), Tensor) and hasattr(thing, "pixels"):
        return held(Labelled(thing.inputs, thing.labels, thing.class_names, thing.name, thing.pixels))
    return held(labelled(name, *pair_of(name, thing), dtype=dtype))


def tensors_of(inputs: Any, labels: Any, model: nn.Module) -> tuple[Tensor, Any]:
    """Inputs (N, ...) and labels (N,) as tensors, those that are none on the device of ``model``.

    Tensors, also of eagerpy, stay what they are, for the engine to check.

    Raises
    ------
    InvalidInput: what is given is no data, or has no labels.
    """
    if isinstance(inputs, Tensor | ep.Tensor) and labels is not None:
        x: Tensor = as_tensor(inputs)
        return x, as_tensor(labels, x.device)
    samples = open_given("the data", inputs if labels is None else (inputs, labels)).drawn(None).samples
    first = next(iter((*model.parameters(), *model.buffers())), None) if isinstance(model, nn.Module) else None
    device = None if first is None else first.device
    return samples.inputs.to(device), samples.labels.to(device)


def as_tensor(value: Any, device: torch.device | None = None) -> Any:
    """An eagerpy tensor as its own, a NumPy array as a tensor on ``device``; all else as it is."""
    if isinstance(value, ep.Tensor):
        return value.raw
    return torch.from_numpy(np.array(value)).to(device) if isinstance(value, np.ndarray) else value


def open_named(name: str, *, dtype: torch.dtype = torch.float32, otherwise: str = "") -> Source:
    """The data at ``package.module:attribute``; a function without arguments, or a class, is called for it.

    ``otherwise`` says in messages what else the name could have meant.

    Raises
    ------
    InvalidInput: there is no such thing, it fails, or it is no data.
    """
    with working_directory():
        thing = found(name, otherwise=otherwise)
        if inspect.isroutine(thing) or inspect.isclass(thing):
            missing = required(thing)
            if missing:
                raise InvalidInput(f"{name} needs {', '.join(missing)}: name what gives the data without an argument")
            thing = made(name, thing)
        return open_given(name, thing, dtype=dtype)
