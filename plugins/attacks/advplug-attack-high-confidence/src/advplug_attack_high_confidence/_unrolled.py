"""The attack as a differentiable function of the weights, for defenses that train through it (thesis, sec. 4.4)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput
from advplug.numerics import per_sample, pick, raw, wrap
from advplug_attack_high_confidence._steps import log_level, nearest_boundary, step_to_level

TrainingNorm = Literal["l2", "linf"]


def unrolled(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    confidence: float | Tensor = 0.8,
    *,
    steps: int = 5,
    overshoot: float = 0.05,
    norm: TrainingNorm = "l2",
    clip: float = math.inf,
    labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The attack in a fixed number of steps, through which gradients flow to the weights of ``model``.

    Every point is detached before its forward pass, so a step depends on the weights through ``log p_t`` and its
    gradient there (second-order gradients), not through the points before. The test for the end is a running product
    of ``round(sigmoid(C - p_t))`` whose rounding passes gradients unchanged. The result is not cut to a box. The mode
    of the model is the caller's: batch statistics and dropout act as they would in training.

    Parameters
    ----------
    model: from inputs (n, ...) in [0, 1], or a range about as wide, to logits (n, K).
    x: (n, ...); gradients flow to it as well, as if the perturbation did not depend on it.
    targets: int64 (n,).
    confidence: C, one number or (n,), such as a running mean for each class.
    labels: int64 (n,) or None; samples whose target is their label stay as they are.

    Returns
    -------
    x_adv: ``x + (1 + overshoot) * r``, (n, ...).
    r: sum of the steps, (n, ...).

    Raises
    ------
    InvalidInput: confidence not above 0 and at most 1, norm unknown, steps below 1.
    """
    if norm not in ("l2", "linf"):
        raise InvalidInput(f"norm {norm!r}: choose l2 or linf")
    if steps < 1:
        raise InvalidInput(f"steps is {steps}: give at least 1")
    c = torch.as_tensor(confidence, dtype=x.dtype, device=x.device).expand(len(x))
    if not bool(((c > 0) & (c <= 1)).all()):
        raise InvalidInput("confidence: give numbers above 0 and at most 1")
    level = log_level(wrap(c))
    training = torch.is_grad_enabled()
    go = torch.ones_like(c) if labels is None else (targets != labels).to(x.dtype)
    r = torch.zeros_like(x)
    for _ in range(steps):
        point = (x + (1 + overshoot) * r).detach().requires_grad_()
        with torch.enable_grad():
            log_p = pick(wrap(model(point)).log_softmax(), wrap(targets))
            (w,) = torch.autograd.grad(raw(log_p).sum(), point, create_graph=training)
        with torch.set_grad_enabled(training):
            go = go * _straight_through_round((c - raw(log_p.exp())).sigmoid())
            step = step_to_level((level - log_p).abs(), wrap(w), norm, clip, flattest=1e-4)
            r = r + raw(per_sample(wrap(go), step) * step)
    return x + (1 + overshoot) * r, r


def closest_targets(
    model: nn.Module,
    x: Tensor,
    labels: Tensor | None = None,
    *,
    norm: TrainingNorm = "l2",
    top_k: int | None = None,
) -> Tensor:
    """The class of the nearest linearised boundary of each of ``x`` (n, ...), int64 (n,): one forward pass.

    ``labels`` int64 (n,) are the classes to leave, None for the predicted ones; ``top_k`` looks at the likeliest other
    classes only. Nothing flows back from it.
    """
    point = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(point)
        leave = logits.argmax(1) if labels is None else labels
        others = logits.detach().scatter(1, leave[:, None], -torch.inf)
        classes = others.topk(min(top_k or others.shape[1], others.shape[1] - 1), dim=1).indices
        gaps = logits.gather(1, leave[:, None]) - logits.gather(1, classes)
        w = [torch.autograd.grad(gap.sum(), point, retain_graph=True)[0] for gap in gaps.unbind(1)]
    nearest = nearest_boundary(wrap(gaps.detach()), wrap(torch.stack(w, 1)), norm)
    return raw(pick(wrap(classes), nearest))


def _straight_through_round(value: Tensor) -> Tensor:
    """``round(value)``, whose gradient is that of ``value``."""
    return value + (value.round() - value).detach()
