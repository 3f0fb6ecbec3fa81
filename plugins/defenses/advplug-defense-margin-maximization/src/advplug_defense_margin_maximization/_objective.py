"""The objective: a loss of the margin, and a penalty on how fast the margin changes with the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.errors import InvalidInput
from advplug.hyperparameters import NonNegative, check_hyperparameters
from advplug.training import Batch

SensitivityNorm = Literal["l2-squared", "l2", "l1"]
MarginLoss = Literal["hinge", "cross-entropy"]


@dataclass(frozen=True)
class MarginMaximization:
    """Deep margin maximisation (Matyasko's thesis, equation 3.18): the loss of the margin plus a penalty.

    The penalty is the largest :func:`margin_sensitivity`, the length of the input gradient of a margin. To first order
    the hinge loss and ``weight`` times the sensitivity bound the hinge loss under any perturbation that is no longer
    than ``weight`` in the dual norm (theorem 3.4.2). On a linear model this is the soft-margin support vector machine.

    Parameters
    ----------
    weight: C, of the penalty; 0 leaves the loss alone.
    norm: ``l2-squared`` as in the author code, ``l2`` as in the text, or ``l1`` for distances under linf.
    loss: the multiclass ``hinge``, or ``cross-entropy``.

    Raises
    ------
    InvalidInput: a negative weight, another norm or loss.
    """

    weight: NonNegative
    norm: SensitivityNorm = "l2-squared"
    loss: MarginLoss = "hinge"

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The objective, and the logits (N, K): on adversarial images where training has an adversary."""
        x = (batch.x if batch.adversarial is None else batch.adversarial).detach().requires_grad_()
        logits = model(x)
        losses = hinge(logits, batch.y) if self.loss == "hinge" else F.cross_entropy(logits, batch.y, reduction="none")
        if self.weight:
            losses = losses + self.weight * margin_sensitivity(logits, x, batch.y, self.norm)
        return losses.mean(), logits


def hinge(logits: Tensor, y: Tensor) -> Tensor:
    """Multiclass hinge loss of Crammer and Singer, ``max(0, 1 + max_j z_j - z_y)`` over j other than y, (N,)."""
    own = F.one_hot(y, logits.shape[1]).bool()
    return (1 + logits.masked_fill(own, -torch.inf).amax(1) - logits[own]).clamp(min=0)


def margin_sensitivity(logits: Tensor, x: Tensor, y: Tensor, norm: SensitivityNorm = "l2-squared") -> Tensor:
    """How fast the margins of each sample change with its input: ``max_j ||grad z_y - grad z_j||``, (N,).

    The class j of the longest difference comes from one backward pass for each class. Gradients of the result flow
    through the difference to this class. A sample's logits must not depend on other samples, as they do under batch
    normalisation in training mode.

    Parameters
    ----------
    logits: z (N, K), computed from ``x``.
    x: inputs (N, ...) that require a gradient.
    y: labels (N,).
    norm: ``l1`` is dual to distances under linf, ``l2`` to those under l2; ``l2-squared`` is the square of ``l2``.

    Raises
    ------
    InvalidInput: another norm.
    """
    if norm not in get_args(SensitivityNorm):
        raise InvalidInput(f"norm {norm!r}: choose one of {', '.join(get_args(SensitivityNorm))}")
    gradients = torch.stack([torch.autograd.grad(z.sum(), x, retain_graph=True)[0] for z in logits.unbind(1)], 1)
    differences = gradients.take_along_dim(_index(y, gradients), 1) - gradients  # zero for j = y: never the longest
    other = _length(differences, norm).argmax(1)
    gap = logits.take_along_dim(y[:, None], 1) - logits.take_along_dim(other[:, None], 1)
    (steepest,) = torch.autograd.grad(gap.sum(), x, create_graph=True)
    return _length(steepest[:, None], norm).squeeze(1)


def _index(classes: Tensor, like: Tensor) -> Tensor:
    """``classes`` (N,) as an index into the second axis of ``like`` (N, K, ...)."""
    return classes.view(-1, *[1] * (like.ndim - 1))


def _length(vectors: Tensor, norm: SensitivityNorm) -> Tensor:
    """Lengths (N, K) of ``vectors`` (N, K, ...)."""
    flat = vectors.flatten(2)
    if norm == "l2-squared":
        return flat.square().sum(2)
    # At zero its derivative is zero; that of the square root of a sum would be NaN.
    length: Tensor = torch.linalg.vector_norm(flat, 2 if norm == "l2" else 1, dim=2)
    return length
