"""Median and non-local means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from advplug.hyperparameters import Count, Positive
from advplug_defense_input_transformations._transformation import Transformation


@dataclass(frozen=True)
class Median(Transformation):
    """The median of a square window, for each channel; the border is mirrored (Xu et al. 2018, sec. 3.2).

    An even window takes the larger of the two values in the middle, and reaches further to the top and the left, as in
    ``scipy.ndimage.median_filter``. Its gradient goes to the pixel that is the median.

    Parameters
    ----------
    side: of the window, in pixels.
    """

    differentiable = True

    side: Count = 2

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        before, after = self.side // 2, (self.side - 1) // 2
        rows, columns = (_mirrored(length, before, after).to(x.device) for length in x.shape[2:])
        padded = x[:, :, rows][:, :, :, columns]
        windows = padded.unfold(2, self.side, 1).unfold(3, self.side, 1).flatten(4)
        return windows.kthvalue(self.side**2 // 2 + 1, dim=4).values


@dataclass(frozen=True)
class NonLocalMeans(Transformation):
    """Means of pixels with similar surroundings, by scikit-image (Buades et al. 2005; Xu et al. 2018, sec. 3.2).

    The three numbers are those of the names of Xu et al., such as 13-3-2. Their code calls OpenCV, which measures
    similarity in another colour space.

    Parameters
    ----------
    search: side of the area in which similar surroundings are looked for; odd.
    patch: side of the surroundings; odd.
    strength: distance at which similarity fades, in steps of a byte.
    """

    search: Count = 13
    patch: Count = 3
    strength: Positive = 2.0

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        from skimage.restoration import denoise_nl_means  # takes a second to import

        images = x.detach().permute(0, 2, 3, 1).cpu().double().numpy()
        cleaned = [
            denoise_nl_means(
                image,
                patch_size=self.patch,
                patch_distance=self.search // 2,
                h=self.strength / 255,
                channel_axis=-1,
            )
            for image in images
        ]
        stacked = np.asarray(cleaned).reshape(images.shape)
        return torch.from_numpy(stacked).to(x).permute(0, 3, 1, 2).clamp(0, 1)


def _mirrored(length: int, before: int, after: int) -> Tensor:
    """Indices (before + length + after,) that mirror a row at its ends, the outermost pixel included."""
    places = torch.arange(-before, length + after) % (2 * length)
    return torch.minimum(places, 2 * length - 1 - places)
