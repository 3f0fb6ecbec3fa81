"""The k-Winners-Take-All activation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput


class KWinners(nn.Module):
    """Keep the largest responses of a whole layer and set the others to zero (Xiao et al. 2020, equation 1).

    All channels and positions of one image compete together, the variant that the authors call ``vol``. Of N responses
    the ``max(1, int(gamma * N))`` largest stay as they are, even negative ones; responses equal to the smallest winner
    stay too. The set of winners counts as constant in the backward pass: gradients reach the winners only.

    Parameters
    ----------
    gamma: sparsity, the fraction of responses that stay, in (0, 1].

    Raises
    ------
    InvalidInput: gamma is outside (0, 1].
    """

    def __init__(self, gamma: float) -> None:
        super().__init__()
        if not 0 < gamma <= 1:
            raise InvalidInput(f"gamma is {gamma}: the fraction of responses to keep lies in (0, 1]")
        self.gamma = gamma

    def winners(self, size: int) -> int:
        """How many of ``size`` responses stay, ties aside."""
        return max(1, int(self.gamma * size))

    def forward(self, x: Tensor) -> Tensor:
        """Responses (N, ...) with the losers of each image at zero; same shape and dtype."""
        flat = x.flatten(1)
        # For the few winners of a sparse layer topk is twice as fast on a CPU as kthvalue, and it needs no order.
        best = flat.detach().topk(self.winners(flat.shape[1]), dim=1, sorted=False).values
        threshold = best.amin(1, keepdim=True)
        return torch.where(flat >= threshold, flat, flat.new_zeros(())).view_as(x)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}"


def activation(gamma: float | None) -> nn.Module:
    """kWTA of that sparsity, or ReLU for None (the undefended control)."""
    return nn.ReLU() if gamma is None else KWinners(gamma)
