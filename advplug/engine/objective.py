"""The per-sample function that an attack minimises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advplug.engine.gateway import Gateway, ask, inside
from advplug.engine.query_counter import QueryCounter
from advplug.errors import InvalidInput
from advplug.losses import CAPABILITIES, Loss, View
from advplug.model import DefendedModel
from advplug.numerics.tensors import raw, wrap

Network = Callable[[Callable[[Tensor], Tensor], Tensor], tuple[Tensor, Tensor]]
"""``network(function, x)`` gives what a function of the model answers; and that, or other scores, with a gradient."""


@dataclass(frozen=True)
class Objective:
    """Loss and logits of a batch of n samples, or of ``copies`` stacked copies of it.

    ``labels`` and ``targets`` int64 (n,), ``samples`` int64 (n,): the samples' indices in the attacked set. With a
    ``network`` the loss sees its scores in place of the model's.
    """

    gateway: Gateway
    loss: Loss
    labels: Tensor
    targets: Tensor | None
    samples: Tensor
    counter: QueryCounter
    copies: int = 1
    surrogate: Callable[[Tensor], Tensor] | None = None
    network: Network | None = None

    @property
    def model(self) -> DefendedModel:
        """The model whose scores the loss sees."""
        return self.gateway.searched

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Per-sample loss (copies * n,) and logits (copies * n, K) at ``x`` (copies * n, ...)."""
        with _captured(self.model, self.loss.layers) as activations:
            logits, scores = self._answer(x)
            if self.surrogate is not None:
                stand_in = ask(self.model, self.surrogate, x)
                scores = stand_in + (logits - stand_in).detach()  # the values of one, the gradient of the other
            self.counter.forward(self.copies * (1 + self.loss.extra_passes))
            for name in self.loss.layers:
                if name not in activations:  # not a module but the capability: a second, partial pass
                    activations[name] = self._capability(x, name)
        view = View(
            self.model,
            wrap(x),
            wrap(scores),
            wrap(self._stacked(self.labels)),
            None if self.targets is None else wrap(self._stacked(self.targets)),
            wrap(self._stacked(self.samples)),
            {name: wrap(_like(values, x)) for name, values in activations.items()},
        )
        return raw(self.loss(view)), logits

    def _answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The model's logits, and the scores that the loss sees: the same, unless there is a gradient network."""
        if self.network is None:
            kept = self.gateway.kept_scores(x)
            if kept is None or self.loss.layers:  # whose hooks hear of this pass alone
                kept = ask(self.model, self.model, x)
            logits = kept.to(x.dtype)
            return logits, logits
        logits, scores = self.network(self.model, inside(self.model, x))
        return logits.to(x.dtype), scores.to(x.dtype)

    @torch.no_grad()
    def value(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and logits without a gradient."""
        return self(x)

    def fooled(self, logits: Tensor) -> Tensor:
        """Whether more than half of the draws give another class than the label, or the target; bool (copies * n,).

        ``logits`` are those of an estimate: (copies * n, K), or (draws, copies * n, K).
        """
        wanted = self._stacked(self.labels if self.targets is None else self.targets)
        hits = (self.model.answers(logits) == wanted) == (self.targets is not None)
        return hits if logits.ndim == 2 else hits.float().mean(0) > 0.5

    def tiled(self, copies: int) -> Objective:
        """The same objective on ``copies`` stacked copies of the batch."""
        return replace(self, copies=self.copies * copies)

    def through_surrogate(self) -> Objective:
        """The same values, but gradients flow through the model's ``surrogate``.

        Raises
        ------
        InvalidInput: the model has none.
        """
        surrogate = self.model.capabilities.surrogate
        if surrogate is None:
            raise InvalidInput(f"BPDA needs a model with a method surrogate(x); {type(self.model).__name__} has none")
        return replace(self, surrogate=surrogate)

    def chunks(self, draws: int, rows_per_draw: int = 1) -> Iterator[tuple[int, int]]:
        """Split ``draws`` copies of the batch into pairs (first, count) that fit into one forward pass."""
        size = max(1, self.gateway.max_rows // (len(self.labels) * self.copies * rows_per_draw))
        for first in range(0, draws, size):
            yield first, min(size, draws - first)

    def _stacked(self, values: Tensor) -> Tensor:
        return values.repeat(self.copies) if self.copies > 1 else values

    def _capability(self, x: Tensor, name: str) -> Tensor:
        offer = getattr(self.model.capabilities, name) if name in CAPABILITIES else None
        if offer is None:
            kind = type(self.model).__name__
            missing = "module or method" if name in CAPABILITIES else "module"
            raise InvalidInput(f"the loss needs the layer {name!r}: {kind} has no {missing} of that name")
        self.counter.forward(self.copies)
        if self.network is not None:
            return self.network(offer, inside(self.model, x))[1].to(x.dtype)
        return ask(self.model, offer, x)


def _like(values: Tensor, x: Tensor) -> Tensor:
    """``values`` in the dtype of ``x``, unless they are whole numbers."""
    return values.to(x.dtype) if values.is_floating_point() else values


@contextmanager
def _captured(model: DefendedModel, names: tuple[str, ...]) -> Iterator[dict[str, Tensor]]:
    """The outputs of named modules, or the input of ``name:input``, in the forward pass inside the block."""
    activations: dict[str, Tensor] = {}
    modules = dict(model.named_modules()) if names else {}
    with ExitStack() as hooks:
        for name in names:
            owner, _, side = name.partition(":")
            if name in modules:
                after = modules[name].register_forward_hook(
                    lambda _m, _i, output, name=name: activations.update({name: output})
                )
                hooks.callback(after.remove)
            elif owner in modules and side == "input":
                before = modules[owner].register_forward_pre_hook(
                    lambda _m, inputs, name=name: activations.update({name: inputs[0]})
                )
                hooks.callback(before.remove)
        yield activations
