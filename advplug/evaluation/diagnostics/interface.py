"""What a model does when it is asked that it should not do: keep state, or call autograd itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from advplug.engine.problem import Problem
from advplug.evaluation.diagnostics.slopes import first_of


def changed_buffers(problem: Problem) -> list[str]:
    """Names of the buffers that a pass over two inputs changes."""
    few = first_of(problem, 2)
    with few.gateway() as gateway, torch.no_grad():
        before = {name: buffer.clone() for name, buffer in few.model.named_buffers()}
        gateway.scores(gateway.cast(few.inputs), finite=False)
        after = dict(few.model.named_buffers())
        return [name for name, value in before.items() if not _same(value, after.get(name))]


def calls_autograd(problem: Problem) -> bool:
    """Whether the forward pass takes gradients itself, as a defense does that optimises its input at test time."""
    few = first_of(problem, 2)
    seen: list[str] = []
    with few.gateway() as gateway, _profiled(seen):
        gateway.scores(gateway.cast(few.inputs), finite=False)
    return bool(seen)


def _same(value: torch.Tensor, now: torch.Tensor | None) -> bool:
    return now is not None and value.shape == now.shape and torch.equal(value, now)


@contextmanager
def _profiled(seen: list[str]) -> Iterator[None]:
    """Note calls of ``torch.autograd.grad`` and ``backward`` in this thread."""
    functions = {torch.autograd.grad.__code__, torch.autograd.backward.__code__}

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code in functions:
            seen.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
