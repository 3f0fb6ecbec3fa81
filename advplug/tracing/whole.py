"""What is true of a model as a whole: what cannot be seen into, whether it saturates or rejects, what a pass costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from advplug.model import DefendedModel
from advplug.records.composition import Place
from advplug.tracing.trace import Call, user_module, within

CERTAIN = 1 - 1e-6
"""A probability above it is 1 as far as the gradient of cross-entropy in single precision can tell."""

HALF = 0.5


def of_the_whole(model: DefendedModel, calls: Sequence[Call], scores: Tensor, accepted: Tensor) -> Iterator[Place]:
    """Places without a module, for the ``calls`` of a pass with ``scores`` (n, K), ``accepted`` bool (n,) or not."""
    whole = type(user_module(model)).__name__
    for name, kind in opaque_modules(model):
        yield Place(kind="opaque", module=name, type=kind, note="TorchScript: nothing inside can be hooked")
    if model.outputs == "logits":
        share = float((scores.double().softmax(1).amax(1) > CERTAIN).double().mean())
        if share >= HALF:
            note = f"the softmax of the scores is 1 at {_percent(share)} of the inputs"
            yield Place(kind="saturated", module="", type=whole, note=note)
    if model.rejects:
        offers = model.capabilities.detector_scores is not None
        share = float((~accepted).double().mean())
        note = f"{_percent(share)} of the inputs; {'by scores' if offers else 'without scores'}"
        yield Place(kind="rejects", module="", type=whole, note=note)
    if model.batch_dependent:
        yield Place(kind="batch", module="", type=whole, note="an answer depends on the other inputs of its batch")
    products = multiplications(calls, len(scores))
    if products:
        note = f"{_rounded(products)} multiplications of its layers for an input"
        yield Place(kind="cost", module="", type=whole, note=note)


def opaque_modules(model: nn.Module) -> list[tuple[str, str]]:
    """Names and classes of the outermost modules that TorchScript made."""
    modules = user_module(model).named_modules()
    found = {name: type(one).__name__ for name, one in modules if isinstance(one, torch.jit.ScriptModule)}
    return [(name, kind) for name, kind in found.items() if not any(within(name, other) for other in found)]


def multiplications(calls: Sequence[Call], count: int) -> int:
    """Of the convolutions and linear layers among ``calls``, for one of ``count`` inputs."""
    total = 0
    for call in calls:
        if isinstance(call.module, nn.Linear | nn.modules.conv._ConvNd):
            total += call.after.numel() * call.module.weight[0].numel()
    return total // count


def _rounded(number: int) -> str:
    """Two digits of a number, and its size in words."""
    for size, word in ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")):
        if number >= size:
            return f"{float(f'{number / size:.2g}'):g} {word}"
    return str(number)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
