"""The gateway to the model: every pass goes through it, those of an attack's steps and those around them.

It hands the model copies in the model's dtype, lets in as many inputs as fit, and leaves the model and the caller's
random state as they were found. The search itself computes in float32 or float64, whatever the model computes in: the
rounding of a half-precision model would push points out of their budget.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor, nn

from advplug.criteria import Criterion
from advplug.engine.frozen import dtype_of, frozen
from advplug.errors import InvalidInput, NonFiniteLogits
from advplug.model import Decision, DefendedModel

DEFAULT_BUDGET = 2**30
"""Bytes of activations that one forward pass may hold, unless told otherwise."""

CACHES = 24
"""A batch that fits into memory is about so many times as large as one that fits into a processor's caches."""

ROUNDING, ROUNDING_IN_HALF = 1e-3, 3e-2
"""Share of the largest score that a batch of another size may change; that half precision may in a deep network."""

LOOKED_AT = 4
"""Rows of a pass with a gradient whose answers are compared with those of a pass without."""

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED", "bad_alloc")
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_UNSEEN = 64  # activations of a module that cannot be watched, as a multiple of its input; guessed on the high side
_OVERHEAD = 3  # activations are kept for the backward pass, gradients and temporaries come on top

Answer = TypeVar("Answer")


class Gateway:
    """One model, and all that is asked of it.

    As a context manager it keeps the model frozen, in evaluation mode and seeded; see :func:`frozen`.

    Parameters
    ----------
    model: the model.
    example: one input (1, ...) as the caller has it, for its shape, device and dtype.
    seed: of the model's own randomness.
    memory_budget: bytes of activations that one pass may hold.
    max_rows: how many inputs one pass takes; measured by the memory budget unless given.
    also: what else is asked in the same pass, such as the scores of a detector.
    """

    def __init__(
        self,
        model: DefendedModel,
        example: Tensor,
        *,
        seed: int = 0,
        memory_budget: int = DEFAULT_BUDGET,
        max_rows: int | None = None,
        also: Sequence[Callable[[Tensor], Tensor]] = (),
    ) -> None:
        self.model = model
        self.asked = 0
        """Inputs that :meth:`scores` has passed to the model."""
        self._example = searchable(model, example)
        self._seed, self._memory_budget = seed, memory_budget
        self._max_rows, self._also = max_rows, also
        self._kept: tuple[Tensor, Tensor] | None = None  # inputs and scores of a pass whose gradient is still to be had
        self._open = ExitStack()

    def __enter__(self) -> Gateway:
        self._open.enter_context(frozen(self.model, self._seed, self._example.device))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def beside(self, model: DefendedModel) -> Gateway:
        """A gateway to another model that takes the same inputs, as many at once; the caller keeps it frozen."""
        return Gateway(model, self._example, seed=self._seed, max_rows=self.max_rows)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the search, float32 or float64."""
        return self._example.dtype

    @property
    def max_rows(self) -> int:
        """How many inputs fit into one pass; measured by the first one. One where an answer depends on the others."""
        if self.model.batch_dependent:
            return 1
        if self._max_rows is None:
            self._max_rows = rows_within(self._memory_budget, self.model, self._example, self._also)
        return self._max_rows

    def take_at_most(self, rows: int) -> None:
        """Let no more than ``rows`` inputs into a pass, even if more would fit."""
        self._max_rows = min(self.max_rows, rows)

    @property
    def searched(self) -> DefendedModel:
        """The model that a search asks for scores and gradients: a float32 copy of one in half precision.

        In half precision gradients underflow, and scores move in coarse steps, near the boundary above all. What counts
        is decided by the model itself.
        """
        return self._in_float32 or self.model

    @property
    def is_half(self) -> bool:
        """Whether the model computes in half precision."""
        return dtype_of(self.model) in (torch.float16, torch.bfloat16)

    @property
    def rounding(self) -> float:
        """What a batch of another size may change, as a share of the largest score."""
        return ROUNDING_IN_HALF if self.is_half else ROUNDING

    @cached_property
    def _in_float32(self) -> DefendedModel | None:
        """None without a need, and for a model that is random, cannot be copied, or answers otherwise in float32."""
        if not self.is_half or self.model.stochastic:
            return None
        with torch.no_grad():
            try:
                twin = copy.deepcopy(self.model).float()
                answer = ask(twin, twin, self._example)
            except Exception:  # whatever a model says that casts to half precision by itself, or cannot be copied
                return None
            scores = self.ask(self.model, self._example)
        return twin if scores_alike(scores, answer, ROUNDING_IN_HALF) else None

    @cached_property
    def draws_per_sample(self) -> bool:
        """Whether a random model draws for each input of a pass by itself; True for one that is not random.

        Where it draws once for the whole pass (a random resize, one mask for a batch), copies of an input in one pass
        are one draw, not several.
        """
        if not self.model.stochastic:
            return True
        low, high = self.model.bounds
        with frozen(self.model, self._seed, self._example.device), torch.no_grad():  # gives the generators back
            probe = low + (high - low) * torch.rand_like(self._example)
            copies = probe.expand(4, *probe.shape[1:])
            passes = torch.stack([self.ask(self.model, copies) for _ in range(8)])
        within, total = passes.var(1).mean(), passes.flatten(0, 1).var(0).mean()
        return bool(within >= total / 2)

    def halve(self) -> bool:
        """After a pass that ran out of memory: let half as many inputs into the next. False if it was one."""
        if self.max_rows == 1:
            return False
        self._max_rows = self.max_rows // 2
        return True

    def cast(self, x: Tensor) -> Tensor:
        """``x`` in the dtype of the search."""
        return x.to(self.dtype)

    def ask(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """``function(x)`` of the model, such as the model itself or its ``features``; see :func:`ask`."""
        self._kept = None
        return ask(self.model, function, x)

    def scores(self, x: Tensor, *, finite: bool = True) -> Tensor:
        """Scores (m, K) for ``x`` (m, ...), without a gradient; with ``finite`` they are checked to be that.

        Raises
        ------
        NonFiniteLogits: the model returned NaN or infinite scores.
        """
        self.asked += len(x)
        with torch.no_grad():
            scores = torch.cat(self.in_passes(lambda part: self.ask(self.model, part), x))
        if finite and not bool(scores.isfinite().all()):
            raise NonFiniteLogits("the model returned NaN or infinite logits")
        return scores

    def decide(self, x: Tensor) -> Decision:
        """What the deployed system answers to ``x`` (N, ...), on one fresh draw if it is stochastic.

        Raises
        ------
        NonFiniteLogits: the model returned NaN or infinite logits.
        """
        with torch.no_grad():
            parts = self.in_passes(self._decide, x)
        return Decision(torch.cat([part.labels for part in parts]), torch.cat([part.accepted for part in parts]))

    def decide_and_keep(self, x: Tensor) -> Decision:
        """:meth:`decide` in one pass that is kept, so that the gradient at ``x`` (N, ...) needs no other.

        Whoever asks first gets it, through :meth:`leaf`; anything else that is asked before discards it. The deployed
        system takes no gradient. A model that answers otherwise where one is taken is asked again without.
        """
        leaf = x.detach().requires_grad_()
        try:
            with torch.enable_grad():
                scores = self.model(inside(self.model, leaf))
        except (RuntimeError, MemoryError):  # no memory, or no gradient: the first step says so
            return self.decide(x)
        with torch.no_grad():
            deployed = self.model(inside(self.model, x[:LOOKED_AT]))
        if not scores_alike(deployed, scores[:LOOKED_AT].detach(), self.rounding):
            return self.decide(x)
        decision = self._read(scores.detach())
        self._kept = (leaf, scores)
        return decision

    def leaf(self, x: Tensor) -> Tensor:
        """``x`` (n, ...) as a tensor to take a gradient at: that of the pass that is kept, if its inputs were equal."""
        if self._kept is not None:
            kept = self._kept[0]
            if kept.shape == x.shape and kept.dtype == x.dtype and torch.equal(kept, x):
                return kept
        return x.detach().requires_grad_()

    def kept_scores(self, x: Tensor) -> Tensor | None:
        """The scores of the pass that is kept, if it was at ``x`` as of :meth:`leaf`; whatever is kept is gone then."""
        kept, self._kept = self._kept, None
        return kept[1] if kept is not None and kept[0] is x else None

    def decisions(self, x: Tensor, draws: int) -> list[Decision]:
        """``draws`` fresh decisions on ``x`` (N, ...); one is enough if nothing is random."""
        return [self.decide(x) for _ in range(draws if self.model.stochastic else 1)]

    def success_rate(
        self, x: Tensor, criterion: Criterion, *, labels: Tensor, targets: Tensor | None, draws: int
    ) -> Tensor:
        """Share of ``draws`` fresh decisions on ``x`` that the criterion counts, float32 (N,)."""
        counted = [criterion(decision, labels, targets) for decision in self.decisions(x, draws)]
        return torch.stack(counted).float().mean(0)

    def _decide(self, x: Tensor) -> Decision:
        if self.model.rejects:
            return _checked(self.model.decide(inside(self.model, x)), len(x))
        return self._read(self.model(inside(self.model, x)))  # in its own dtype, where a tie of another is none

    def _read(self, logits: Tensor) -> Decision:
        bad = ~logits.isfinite().all(1)
        if bool(bad.any()):
            raise NonFiniteLogits(
                f"the model returned NaN or infinite logits for {int(bad.sum())} of {len(logits)} inputs: "
                "its answer there is undefined"
            )
        labels = self.model.answers(logits)
        return Decision(labels, torch.ones_like(labels, dtype=torch.bool))

    def in_passes(self, ask: Callable[[Tensor], Answer], x: Tensor) -> list[Answer]:
        """What ``ask`` says to each part of ``x`` (n, ...) that fits; one that does not fit after all is halved."""
        self._kept = None
        answers, waiting = [], list(x.split(self.max_rows))
        while waiting:
            part = waiting.pop(0)
            try:
                answers.append(ask(part))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or len(part) == 1:
                    raise
                self._max_rows = min(self.max_rows, len(part) // 2)
                waiting = [half for whole in (part, *waiting) for half in whole.split(self.max_rows)]
        return answers


def _checked(decision: Decision, count: int) -> Decision:
    """``decision``, if it is one on ``count`` inputs.

    Raises
    ------
    InvalidInput: another form, which would be read as something else.
    """
    labels, accepted = getattr(decision, "labels", None), getattr(decision, "accepted", None)
    for name, value, kinds in (("labels", labels, _WHOLE), ("accepted", accepted, (torch.bool,))):
        if not isinstance(value, Tensor) or value.shape != (count,) or value.dtype not in kinds:
            found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise InvalidInput(f"decide returned {name} as {found}: return Decision(int64 (N,), bool (N,))")
    return decision


def scores_alike(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether scores (n, K) are the same but for rounding: ``tolerance`` of the largest that is not of every input.

    A class that is switched off by -1e9 would hide all that the others do.
    """
    if torch.equal(one, other):
        return True
    varies = (one != one[:1]).any(0) if len(one) > 1 else torch.ones_like(one[0], dtype=torch.bool)
    sizes = one[:, varies] if bool(varies.any()) else one
    scale = float(sizes.nan_to_num(0, 0, 0).abs().max())
    return torch.allclose(one, other, rtol=1e-6, atol=tolerance * max(scale, 1e-12), equal_nan=True)


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: of a device, or of the host, which says so in the message of a RuntimeError alone."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in said for words in _NO_MEMORY)


def inside(model: nn.Module, x: Tensor) -> Tensor:
    """A copy of ``x`` in the dtype in which ``model`` computes: that of its parameters, or that of ``x`` without any.

    A model may change its argument in place, which must reach neither the caller's images nor the attack's points.
    """
    return x.to(dtype_of(model) or x.dtype, copy=True)


def ask(model: nn.Module, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``function`` of ``model`` at ``x`` (n, ...), which it gets as a copy in its dtype; answered in that of ``x``."""
    answer = function(inside(model, x))
    return answer.to(x.dtype) if answer.is_floating_point() else answer


def searchable(model: nn.Module, x: Tensor) -> Tensor:
    """``x`` in the dtype in which a search on ``model`` computes.

    That is the dtype of ``x``, float32 or float64, in which points are returned and held to their budget; float32 where
    the model itself computes in float32.
    """
    return x.float() if dtype_of(model) == torch.float32 else x


@torch.no_grad()
def rows_within(budget: int, model: nn.Module, example: Tensor, also: Sequence[Callable[[Tensor], Tensor]] = ()) -> int:
    """Number of inputs like ``example`` (1, ...) whose activations fit into ``budget`` bytes; at least 1.

    ``also`` are functions of ``model`` that a pass asks besides the model itself.
    """
    used = [example.nbytes]

    def count(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            used.append(output.nbytes)

    leaves = [module for module in model.modules() if not list(module.children())]
    if any(isinstance(module, torch.jit.ScriptModule) for module in leaves):  # it takes no hooks
        used.append(_UNSEEN * example.nbytes)
    hooks = [leaf.register_forward_hook(count) for leaf in leaves if not isinstance(leaf, torch.jit.ScriptModule)]
    try:
        ask(model, model, example)
        for function in also:
            ask(model, function, example)
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, budget // (_OVERHEAD * sum(used)))
