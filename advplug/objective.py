"""The per-sample function that an attack minimises, and the count of its queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.losses import Loss, View
from advplug.model import DefendedModel, HasFeatures, HasSurrogate
from advplug.ops import raw, wrap


class Ledger:
    """Forward and backward passes of each sample, int64 (N,), on the device of the samples.

    ``rows`` says which samples the batch holds and ``live`` which of them still search: a sample that is done but
    waits in the batch for the next compaction is not charged, so the count does not depend on its batch-mates.
    """

    def __init__(self, samples: int, device: torch.device) -> None:
        self.forwards = torch.zeros(samples, dtype=torch.int64, device=device)
        self.backwards = torch.zeros_like(self.forwards)
        self.rows = torch.arange(samples, device=device)
        self.live = torch.ones(samples, dtype=torch.int64, device=device)

    def forward(self, copies: int) -> None:
        """Charge ``copies`` forward passes to every live row."""
        self.forwards.index_add_(0, self.rows, self.live * copies)

    def of_sample(self, flags: Tensor) -> Tensor:
        """Whether any row of the same sample has its flag, for bool (n,) flags of the rows."""
        counts = torch.zeros_like(self.forwards).index_add_(0, self.rows, flags.long())
        return counts[self.rows] > 0

    def backward(self, copies: int) -> None:
        """Charge ``copies`` backward passes to every live row."""
        self.backwards.index_add_(0, self.rows, self.live * copies)


@dataclass(frozen=True)
class Objective:
    """Loss and logits of a batch of n samples, or of ``copies`` stacked copies of it.

    ``labels`` and ``targets`` int64 (n,), ``samples`` int64 (n,): the samples' indices in the attacked set;
    ``max_rows`` is how many inputs fit into one forward pass.
    """

    model: DefendedModel
    loss: Loss
    labels: Tensor
    targets: Tensor | None
    samples: Tensor
    ledger: Ledger
    max_rows: int
    copies: int = 1
    surrogate: bool = False

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Per-sample loss (copies * n,) and logits (copies * n, K) at ``x`` (copies * n, ...)."""
        with _capture(self.model, self.loss.parts) as parts:
            logits = self.model(x)
            if self.surrogate:
                logits = self._straight_through(x, logits)
            self.ledger.forward(self.copies)
            for name in self.loss.parts:
                if name not in parts:  # not a module but the capability: a second, partial pass
                    parts[name] = self._features(x, name)
        view = View(
            self.model,
            wrap(x),
            wrap(logits),
            wrap(self._stacked(self.labels)),
            None if self.targets is None else wrap(self._stacked(self.targets)),
            wrap(self._stacked(self.samples)),
            {name: wrap(part) for name, part in parts.items()},
        )
        return raw(self.loss(view)), logits

    @torch.no_grad()
    def value(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and logits without a gradient."""
        return self(x)

    def tiled(self, copies: int) -> Objective:
        """The same objective on ``copies`` stacked copies of the batch."""
        return replace(self, copies=self.copies * copies)

    def through_surrogate(self) -> Objective:
        """The same values, but gradients flow through the model's ``surrogate``."""
        if not isinstance(self.model, HasSurrogate):
            raise InvalidInput(f"BPDA needs a model with a method surrogate(x); {type(self.model).__name__} has none")
        return replace(self, surrogate=True)

    def chunks(self, draws: int, rows_per_draw: int = 1) -> Iterator[tuple[int, int]]:
        """Split ``draws`` copies of the batch into pairs (first, count) that fit into one forward pass."""
        size = max(1, self.max_rows // (len(self.labels) * self.copies * rows_per_draw))
        for first in range(0, draws, size):
            yield first, min(size, draws - first)

    def _stacked(self, values: Tensor) -> Tensor:
        return values.repeat(self.copies) if self.copies > 1 else values

    def _straight_through(self, x: Tensor, logits: Tensor) -> Tensor:
        assert isinstance(self.model, HasSurrogate)
        stand_in = self.model.surrogate(x)
        return stand_in + (logits - stand_in).detach()

    def _features(self, x: Tensor, name: str) -> Tensor:
        if name == "features" and isinstance(self.model, HasFeatures):
            self.ledger.forward(self.copies)
            return self.model.features(x)
        raise InvalidInput(f"the loss needs the part {name!r}: {type(self.model).__name__} has no module of that name")


class _capture(ExitStack):  # noqa: N801  (a context manager that reads as a verb)
    """Collect the outputs of named modules, or the input of ``name:input``, during one forward pass."""

    def __init__(self, model: DefendedModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self._model, self._names = model, names

    def __enter__(self) -> dict[str, Tensor]:  # type: ignore[override]
        parts: dict[str, Tensor] = {}
        modules = dict(self._model.named_modules()) if self._names else {}
        for name in self._names:
            owner, _, side = name.partition(":")
            if name in modules:
                hook = modules[name].register_forward_hook(
                    lambda _m, _i, output, name=name: parts.update({name: output})
                )
                self.callback(hook.remove)
            elif owner in modules and side == "input":
                before = modules[owner].register_forward_pre_hook(
                    lambda _m, inputs, name=name: parts.update({name: inputs[0]})
                )
                self.callback(before.remove)
        return parts
