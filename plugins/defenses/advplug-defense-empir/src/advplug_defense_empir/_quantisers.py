"""Numbers of few bits, and convolutions that compute with them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.errors import InvalidInput


class Quantiser(nn.Module):
    """``round(v (2^k - 1)) / (2^k - 1)``: values in [0, 1] on a grid of ``2^k`` levels, ends included.

    Halves go to the even neighbour. Rounding has the derivative zero almost everywhere; with ``straight_through`` the
    backward pass takes it for the identity, as training needs it and as the authors of the defense attack it.

    Parameters
    ----------
    bits: k, at least 1.

    Raises
    ------
    InvalidInput: fewer bits.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        if bits < 1:
            raise InvalidInput(f"bits is {bits}: a number takes at least one")
        self.bits = bits
        self.straight_through = True

    def forward(self, values: Tensor) -> Tensor:
        """The nearest level to each of ``values``; same shape and dtype."""
        steps = 2**self.bits - 1
        levels = (values * steps).round() / steps
        # Zero is added, and no difference: what comes out is a level to the last bit.
        return cast(Tensor, levels.detach() + (values - values.detach()) if self.straight_through else levels)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class LowPrecisionConv2d(nn.Conv2d):
    """A convolution without bias of quantised inputs with quantised weights (DoReFa-like; Sen et al. 2020).

    Inputs are cut to [0, 1] first, so no gradient comes back from values outside. The weights are
    ``2 q(tanh(w) / (2 max |tanh(w)|) + 1/2) - 1``, in [-1, 1].

    Parameters
    ----------
    inputs, outputs, kernel, stride, padding: see :class:`torch.nn.Conv2d`.
    activation_bits, weight_bits: precision of the inputs and of the weights.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        padding: int,
        *,
        activation_bits: int,
        weight_bits: int,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, bias=False)
        self.activations = Quantiser(activation_bits)
        self.weights = Quantiser(weight_bits)

    def quantised_weight(self) -> Tensor:
        """The weights (outputs, inputs, kernel, kernel) that the convolution computes with."""
        bounded = self.weight.tanh()
        return 2 * cast(Tensor, self.weights(bounded / (2 * bounded.abs().amax()) + 0.5)) - 1

    def forward(self, x: Tensor) -> Tensor:
        """Responses (N, outputs, H', W')."""
        levels = self.activations(x.clamp(0, 1))
        return F.conv2d(levels, self.quantised_weight(), None, self.stride, self.padding)


def unit_filters(parameter: nn.Parameter) -> None:
    """Fill ``parameter`` (outputs, ...) as the authors do: normal draws within two deviations, filters of length 1."""
    nn.init.trunc_normal_(parameter)
    with torch.no_grad():
        flat = parameter.flatten(1)
        parameter.copy_((flat / flat.norm(dim=1, keepdim=True)).view_as(parameter))
