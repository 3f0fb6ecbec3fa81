"""Points between a point and the clean input, for each norm, and shifts of them onto a hyperplane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

ROUNDS = 60
"""The most rounds of a search for a shift; few take more than ten."""

BISECT_EVERY = 4
"""One round of so many halves the bracket, whatever Newton's method proposes."""

NARROW = 1e-3
"""Relative width of the bracket of a shift in which a value jumps; see :meth:`Stop.with_jumps_kept`."""


@dataclass(frozen=True)
class Stop:
    """Where a share of the way from ``start`` to ``clean`` ends, and how the point there gives way to a push.

    Parameters
    ----------
    clean: the end of the way, (n, d).
    start: what the push is added to, (n, d).
    lower, upper: limits of the point, (n, d).
    soft: by how much less than pushed a value differs from the clean one, (n, 1); None for 0.
    price: a value is the clean one unless the square of its distance to the pushed one rises by more than this, (n, 1);
        None for no such rule.
    """

    clean: Tensor
    start: Tensor
    lower: Tensor
    upper: Tensor
    soft: Tensor | None = None
    price: Tensor | None = None

    def pushed(self, push: Tensor) -> tuple[Tensor, Tensor]:
        """The point (n, d) after ``push`` (n, d), and which of its values follow a small change of it, bool (n, d)."""
        free = self.start + push
        if self.soft is not None:
            away = free - self.clean
            free = self.clean + away - away.clamp(-self.soft, self.soft)
        point = free.clamp(self.lower, self.upper)
        follows = point == free
        if self.soft is not None:
            follows &= away.abs() > self.soft
        if self.price is not None:
            keeps = (self.clean - free).square() - (point - free).square() > self.price
            point, follows = torch.where(keeps, point, self.clean), follows & keeps
        return point, follows

    def onto(self, w: Tensor, goal: Tensor, shift: Tensor, tolerance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The point pushed by ``-shift * w`` so far that ``<w, point> = goal``.

        ``<w, point>`` falls piecewise linearly with the shift. Newton's method inside a bracket ends on the right
        piece. A rule of prices makes it jump, and the search may end at a jump.

        Parameters
        ----------
        w: normals, (n, d).
        goal, tolerance: of ``<w, point>``, (n, 1) each.
        shift: where to begin, (n, 1).

        Returns
        -------
        tuple: point (n, d), shift (n, 1), and whether the goal is met, bool (n, 1).
        """
        ends = torch.where(w > 0, self.lower, self.upper), torch.where(w > 0, self.upper, self.lower)
        least, most = ((w * end).sum(1, keepdim=True) for end in ends)
        reachable = (goal >= least - tolerance) & (goal <= most + tolerance)
        leap = (self.upper - self.lower).amax(1, keepdim=True)
        leap = leap / w.abs().amax(1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)
        low, high = torch.full_like(shift, -torch.inf), torch.full_like(shift, torch.inf)
        for number in range(ROUNDS):
            point, follows = self.pushed(-shift * w)
            excess = (w * point).sum(1, keepdim=True) - goal
            met = reachable & (excess.abs() <= tolerance)
            done = met | ~reachable
            if self.price is not None:
                done |= high - low <= NARROW * torch.maximum(low.abs(), high.abs())
            if bool(done.all()):
                break
            low = torch.where(~done & (excess > 0), shift, low)
            high = torch.where(~done & (excess <= 0), shift, high)
            newton = shift + excess / (w.square() * follows).sum(1, keepdim=True)
            beyond = shift + excess.sign() * torch.maximum(shift.abs(), leap)
            halved = torch.where((high - low).isfinite(), (low + high) / 2, beyond)
            trusted = (newton > low) & (newton < high)
            if number % BISECT_EVERY == BISECT_EVERY - 1:
                trusted &= ~(high - low).isfinite()
            shift = torch.where(done, shift, torch.where(trusted, newton, halved))
        return point, shift, met

    def with_jumps_kept(self, push: Tensor) -> Stop:
        """The same without the rule of prices: values that it keeps a little before or after ``push`` are free."""
        keeps = torch.zeros_like(push, dtype=torch.bool)
        for factor in (1 - 2 * NARROW, 1 + 2 * NARROW):
            keeps |= self.pushed(factor * push)[0] != self.clean
        lower, upper = (torch.where(keeps, limit, self.clean) for limit in (self.lower, self.upper))
        return replace(self, lower=lower, upper=upper, price=None)


class Way(NamedTuple):
    """From ``x`` to ``clean``, both inside the ``bounds``, (n, d), as distances in ``norm`` fall fastest."""

    clean: Tensor
    x: Tensor
    bounds: tuple[float, float]
    norm: str

    def stop(self, share: Tensor, reach: Tensor) -> Stop:
        """The point at ``share`` of the way.

        It minimises ``||y - clean||_p`` and a weighted ``||y - x||_2^2``, with a weight that falls as the share rises:

        - l2: a mixture of both points.
        - l1: every value comes nearer to the clean one by the same amount, or is equal to it.
        - linf: the values that are furthest from the clean ones come nearer to them.
        - l0: those values become clean that move least by it.

        Parameters
        ----------
        share: (n, 1), from 0 to 1, and below 1 under l1 and l0.
        reach: how far values may be from the clean ones at share 0, (n, 1); for all norms but l2.
        """
        clean, x = self.clean, self.x
        low, high = torch.full_like(x, self.bounds[0]), torch.full_like(x, self.bounds[1])
        match self.norm:
            case "l2":
                return Stop(clean, x + share * (clean - x), low, high)
            case "l1":
                return Stop(clean, x, low, high, soft=reach * share / (1 - share))
            case "linf":
                left = (1 - share) * reach
                return Stop(clean, x, low.maximum(clean - left), high.minimum(clean + left))
        return Stop(clean, x, low, high, price=(reach * share / (1 - share)).square())
