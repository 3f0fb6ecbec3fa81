"""Diverse inputs (Xie et al. 2019, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from advplug.gradients import Estimate, Exact, GradientEstimator, Objective
from advplug.hyperparameters import PositiveShare
from advplug.numerics import Noise
from advplug_gradient_transfer._images import check_images


@dataclass(frozen=True)
class DiverseInputs(GradientEstimator):
    """The gradient at a smaller copy of each image, which lies at a random place on an empty one of the same size.

    Every sample and step has a size and a place of its own. The paper enlarges the canvas instead; a network that takes
    images of one size alone takes these.

    Parameters
    ----------
    probability: of a copy; the image itself otherwise.
    smallest: the smallest side of a copy, as a share of that of the image.
    of: where the gradient at the copy comes from.
    """

    probability: PositiveShare = 0.5
    smallest: PositiveShare = 0.9
    of: GradientEstimator = field(default_factory=Exact)

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        check_images(x, "diverse-inputs")
        loss, logits = objective.value(x)
        empty = objective.model.bounds[0]
        draws = noise.uniform(step, (4,)).to(x)
        with torch.enable_grad():
            image = x.detach().requires_grad_()
            chosen = (draws[:, 0] < self.probability)[:, None, None, None]
            copy = torch.where(chosen, self._shrunk(image, draws, empty), image)
        inner = self.of(objective, copy.detach(), noise, step)
        (gradient,) = torch.autograd.grad(copy, image, inner.gradient)
        return Estimate(loss, gradient, logits)

    def _shrunk(self, x: Tensor, draws: Tensor, empty: float) -> Tensor:
        """``x`` (n, C, H, W) at the sizes and places of ``draws`` (n, 4) on [0, 1)."""
        size = self.smallest + (1 - self.smallest) * draws[:, 1]
        room = 1 / size - 1  # how far the middle of the copy may lie from that of the image, in half sides
        place = (2 * draws[:, 2:] - 1) * room[:, None]
        nothing = torch.zeros_like(size)
        rows = torch.stack((1 / size, nothing, place[:, 0]), 1), torch.stack((nothing, 1 / size, place[:, 1]), 1)
        grid = torch.nn.functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
        return torch.nn.functional.grid_sample(x - empty, grid, padding_mode="zeros", align_corners=False) + empty
