"""Leaves the model and the caller's random state as they were found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def guarded(model: nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Freeze ``model`` in evaluation mode and seed the global generators; restore everything afterwards.

    Parameters need no gradient inside, so a backward pass computes that of the inputs alone. The global generators
    (torch, numpy, random) matter only to stochastic defenses that draw from them.
    """
    modes = [(module, module.training) for module in model.modules()]
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            model.eval()
            model.requires_grad_(False)
            yield
    finally:
        for parameter, flag in trainable:
            parameter.requires_grad_(flag)
        for module, mode in modes:
            module.training = mode
        for buffer, value in buffers:
            buffer.copy_(value)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
