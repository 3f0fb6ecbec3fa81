"""Translation-invariant gradients (Dong et al. 2019, section 3.3, equation 7)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from advplug.gradients import Estimate, Exact, GradientEstimator, Objective
from advplug.hyperparameters import Count, Positive
from advplug.numerics import Noise
from advplug_gradient_transfer._images import check_images


@dataclass(frozen=True)
class TranslationInvariant(GradientEstimator):
    """The gradient under a Gaussian blur: about the mean of the gradients at images shifted by a few pixels.

    Parameters
    ----------
    reach: pixels to either side that the blur takes in; 7 in the paper, for images of 299 x 299.
    sigma: standard deviation of the blur, in pixels.
    of: where the gradient comes from.
    """

    reach: Count = 3
    sigma: Positive = 1.5
    of: GradientEstimator = field(default_factory=Exact)

    def __call__(self, objective: Objective, x: Tensor, noise: Noise, step: int) -> Estimate:
        check_images(x, "translation-invariant")
        found = self.of(objective, x, noise, step)
        return found._replace(gradient=self._blurred(found.gradient))

    def _blurred(self, g: Tensor) -> Tensor:
        """``g`` (n, C, H, W), each channel alone; nothing lies beyond the edges."""
        offsets = torch.arange(-self.reach, self.reach + 1, device=g.device, dtype=g.dtype)
        weights = (-0.5 * (offsets / self.sigma).square()).exp()
        weights, channels = weights / weights.sum(), g.shape[1]
        rows = weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
        columns = weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        g = torch.nn.functional.conv2d(g, rows, padding=(self.reach, 0), groups=channels)
        return torch.nn.functional.conv2d(g, columns, padding=(0, self.reach), groups=channels)
