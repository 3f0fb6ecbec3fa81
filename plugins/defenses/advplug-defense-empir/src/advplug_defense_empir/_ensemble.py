"""The deployed vote, the network of full precision alone, and the vote as plain rounding differentiates it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from advplug.errors import InvalidInput
from advplug.families import Ensemble
from advplug.model import DefendedModel
from advplug_defense_empir._quantisers import Quantiser


class MixedPrecision(Ensemble):
    """Majority vote of two networks of low precision and one of full precision (Sen et al. 2020).

    The scores are the mean of the probabilities of the members that agree with the answer, which are what the authors
    attack; the answer is their largest. Where all three members disagree, the one of full precision decides. The module
    ``members`` gives the logits of each (N, 3, 10).

    Parameters
    ----------
    networks: from images to logits (N, 10): two of low precision, then the one of full precision.

    Raises
    ------
    InvalidInput: more or fewer networks.
    """

    outputs: ClassVar[Literal["logits", "probabilities"]] = "probabilities"

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        if len(networks) != 3:
            raise InvalidInput(f"{len(networks)} networks: the vote takes two of low and one of full precision")
        super().__init__(networks, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Mean probabilities (N, 10) of the members that agree with the answer, for images (N, C, H, W) in [0, 1]."""
        return agreeing(self.member_logits(x).softmax(2))

    def surrogate(self, x: Tensor) -> Tensor:
        """Mean probabilities (N, 10) of all members, which no vote makes jump. For BPDA."""
        return self.member_logits(x).softmax(2).mean(1)


class FullPrecision(Ensemble):
    """The member of full precision alone: the network that the ensemble is to defend. It answers with logits."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of the last network, for images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.members[-1](x)
        return logits


class TrueDerivative(DefendedModel):
    """The same answers as ``vote``, but the derivative of rounding is what it is: zero.

    The two networks of low precision then have no gradient. The weights are copied.
    """

    outputs: ClassVar[Literal["logits", "probabilities"]] = "probabilities"

    def __init__(self, vote: MixedPrecision) -> None:
        super().__init__(vote.num_classes, vote.bounds)
        self.vote = copy.deepcopy(vote)
        for part in self.vote.modules():
            if isinstance(part, Quantiser):
                part.straight_through = False

    def forward(self, x: Tensor) -> Tensor:
        """The scores (N, 10) of the vote."""
        scores: Tensor = self.vote(x)
        return scores


def votes(probabilities: Tensor) -> Tensor:
    """The answers (N,) of the vote of members with ``probabilities`` (N, 3, K); the last decides where none agree."""
    first, second, full = probabilities.argmax(2).unbind(1)
    return torch.where(first == second, first, full)


def agreeing(probabilities: Tensor) -> Tensor:
    """The mean (N, K) of those of three ``probabilities`` (N, 3, K) whose largest entry is the answer of the vote."""
    agree = (probabilities.argmax(2) == votes(probabilities)[:, None]).to(probabilities)
    return (agree[:, :, None] * probabilities).sum(1) / agree.sum(1, keepdim=True)
