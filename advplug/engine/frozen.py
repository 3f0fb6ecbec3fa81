"""The state of a model and of the caller: where the model is, its dtype, and both as they were after it was asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@contextmanager
def frozen(model: nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Freeze ``model`` in evaluation mode and seed the global generators; restore everything afterwards.

    Parameters need no gradient inside, so a backward pass computes that of the inputs alone. The global generators
    (torch, numpy, random) matter only to stochastic defenses that draw from them.
    """
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with ExitStack() as state:
            for context in (
                torch.random.fork_rng([device] if device.type == "cuda" else []),
                torch.inference_mode(False),  # a caller may have disabled gradients, or reduced precision
                torch.enable_grad(),
                torch.autocast(device.type, enabled=False),
            ):
                state.enter_context(context)
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            _in_evaluation_mode(model)
            for parameter, _ in trainable:
                parameter.requires_grad_(False)
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


def _in_evaluation_mode(model: nn.Module) -> None:
    try:
        model.eval()
    except NotImplementedError:  # an exported program has the mode of its export, and says so
        for module in model.modules():
            module.training = False


def device_of(model: nn.Module) -> torch.device | None:
    """Where the model is; None if it has no parameters."""
    parameter = next(model.parameters(), None)
    return None if parameter is None else parameter.device


def dtype_of(model: nn.Module) -> torch.dtype | None:
    """The dtype in which the model computes, that of its first floating-point parameter, else buffer; None without.

    Quantised models hold whole numbers besides.
    """
    for tensors in (model.parameters(), model.buffers()):
        found = next((tensor.dtype for tensor in tensors if tensor.dtype in _DTYPES), None)
        if found is not None:
            return found
    return None
