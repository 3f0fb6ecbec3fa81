"""The two formulas that the attack and its differentiable form share: the step, and the nearest boundary.

Distances are those of inputs in [0, 1]: the constants below are the author code's, for such inputs.
"""

from __future__ import annotations

import math

import eagerpy as ep

from advplug.numerics import per_sample

EXTRA = 1e-4  # added to the length of l2 steps, as in the author code, so that they do not die out short of the goal
HIGHEST = 1 - 1e-6  # float32 softmax never reaches 1


def log_level(confidence: ep.Tensor) -> ep.Tensor:
    """``log C`` for confidences (n,), capped where floating point can still reach them."""
    return ep.minimum(confidence, HIGHEST).log()


def unit(norm: str, x: ep.Tensor) -> float:
    """What 1 under l2 is under ``norm`` for inputs like ``x`` (n, ...): the same length, spread over all values."""
    return 1.0 if norm == "l2" else 1 / math.sqrt(math.prod(x.shape[1:]))


def direction(w: ep.Tensor) -> ep.Tensor:
    """``w`` (n, ...) at length 1 under l2; zeros stay zeros."""
    return w / per_sample(_length(w), w)


def along(way: ep.Tensor, w: ep.Tensor) -> ep.Tensor:
    """The part of the gradient ``w`` (n, ...) along ``way``, of its shape: the slope of a search on that line."""
    d = direction(way)
    return per_sample((d * w).flatten(1).sum(1), d) * d


def step_to_level(
    gap: ep.Tensor, w: ep.Tensor, norm: str, clip: float = math.inf, flattest: float = 1e-12
) -> ep.Tensor:
    """The shortest step after which ``log p_t``, linearised, is at its level: Matyasko, algorithm 1, lines 5 to 7.

    Parameters
    ----------
    gap: ``|log C - log p_t|``, (n,).
    w: gradient of ``log p_t``, (n, ...).
    norm: ``l2`` or ``linf``.
    clip: no step is longer than this.
    flattest: norms of w are not divided by as if below this. The author code has 1e-4, which keeps the derivatives of
        the step bounded, but all but stops a search beyond C = 1 - 1e-4, where w is that small.
    """
    if norm == "l2":
        size = _length(w, flattest)
        way = w / per_sample(size, w)
    else:
        size = ep.maximum(w.abs().flatten(1).sum(1), flattest)
        way = w.sign()
    length = gap / size + EXTRA * unit(norm, w)
    if clip < math.inf:
        length = ep.minimum(length, clip)
    return per_sample(length, w) * way


def nearest_boundary(gaps: ep.Tensor, w: ep.Tensor, norm: str) -> ep.Tensor:
    """Index (n,) of the class whose linearised boundary is nearest: argmin of ``|z_y - z_j| / ||w_j||_dual``.

    ``gaps`` (n, M) are ``z_y - z_j``, ``w`` (n, M, ...) their gradients.
    """
    flat = w.flatten(2)
    size = flat.square().sum(2).sqrt() if norm == "l2" else flat.abs().sum(2)
    return (gaps.abs() / ep.maximum(size, 1e-12)).argmin(1)


def _length(w: ep.Tensor, flattest: float = 1e-12) -> ep.Tensor:
    """``||w||_2`` (n,), smoothed below ``flattest``: its derivative is bounded at 0."""
    return (w.square().flatten(1).sum(1) + flattest**2).sqrt()
