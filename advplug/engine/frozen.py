"""The state of a model and of the caller: where the model is, its dtype, and both as they were after it was asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

_LOOKED_AT = 8  # tensors; the dtype is asked for in every pass

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@contextmanager
def frozen(model: nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Freeze ``model`` in evaluation mode and seed the global generators; restore everything afterwards.

    Parameters need no gradient inside, so a backward pass computes that of the inputs alone. The global generators
    (torch, numpy, random) matter only to stochastic defenses that draw from them.
    """
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
    trainable = [one for one in model.parameters() if one.requires_grad and not one.is_inference()]
    buffers = list(_buffers(model))
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
            _seed(seed, device)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            _in_evaluation_mode(model)
            for parameter in trainable:
                parameter.requires_grad_(False)
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, mode in modes:
            module.training = mode
        for buffer in buffers:
            _give_back(*buffer)
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _seed(seed: int, device: torch.device) -> None:
    """Seed torch's global generators: that of the processor alone where no other device is in use, which saves time."""
    if device.type == "cpu" and not torch.cuda.is_initialized():
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


class Weights:
    """The weights of ``model`` as they are now, to be put back after something else had the model in hand."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        plain = (one for one in model.parameters() if one.layout == torch.strided and 0 not in one.stride())
        self._kept = [(one, one.detach().clone()) for one in plain if not one.is_inference()]

    def put_back(self) -> bool:
        """Undo what was changed, the mode included; whether a weight was."""
        changed = [(one, value) for one, value in self._kept if not torch.equal(one.detach(), value)]
        for parameter, value in changed:
            parameter.data.copy_(value)
        _in_evaluation_mode(self._model)
        return bool(changed)


def _buffers(model: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor, Tensor]]:
    """Each buffer with its module, its name and a copy; those that are not dense are never written to in place."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.layout == torch.strided:
                yield module, name, buffer, buffer.clone()


def _give_back(module: nn.Module, name: str, buffer: Tensor, value: Tensor) -> None:
    """Put a buffer back that was replaced, and its value if that was changed."""
    scripted = isinstance(module, torch.jit.ScriptModule)
    if not scripted and module._buffers.get(name) is not buffer:
        module._buffers[name] = buffer
    if torch.equal(buffer, value):
        return
    if scripted or not (buffer.is_inference() or 0 in buffer.stride()):
        buffer.copy_(value)
    else:  # made in inference mode, or expanded: nothing can be written to it
        module._buffers[name] = value


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

    Quantised models hold whole numbers besides, and a temperature of one value says nothing.
    """
    for tensors in (model.parameters(), model.buffers()):
        scalar = None
        for tensor in islice(tensors, _LOOKED_AT):
            if tensor.dtype in _DTYPES:
                if tensor.numel() > 1:
                    return tensor.dtype
                scalar = scalar or tensor.dtype
        if scalar is not None:
            return scalar
    return None
