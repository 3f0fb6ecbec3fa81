"""The deployed classifier: mix, answer, average."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.model import DefendedModel


class Mixing(DefendedModel):
    """Mixup inference with other labels (Pang et al. 2020, MI-OL).

    For each of ``draws`` partners s, drawn anew in every pass from a class other than the one that ``base`` gives to
    x, ``base`` sees ``share * x + (1 - share) * s``; the answer is the mean of its probabilities. Scores are the
    logarithms of that mean, so that their softmax is the mean itself.

    Draws come from torch's global generator. :meth:`admit` gives it the pool of partners, which is part of the
    deployed system and known to the attacker.

    Parameters
    ----------
    base: from images (N, C, H, W) in [0, 1] to logits (N, K).
    share: lambda, the share of the input in each mixture.
    draws: mixtures for each answer.
    num_classes: number of classes K.
    """

    stochastic = True
    partners: Tensor
    first: Tensor

    def __init__(self, base: nn.Module, *, share: float, draws: int = 15, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.base = base
        self.share, self.draws = share, draws
        self.register_buffer("partners", torch.zeros(0), persistent=False)
        self.register_buffer("first", torch.zeros(num_classes + 1, dtype=torch.int64), persistent=False)

    def admit(self, pool: Images) -> None:
        """Take the images of ``pool`` as partners, instead of those it had.

        Raises
        ------
        InvalidInput: a class has no image.
        """
        counts = torch.bincount(pool.labels, minlength=self.num_classes)
        if len(counts) > self.num_classes or not bool(counts.all()):
            raise InvalidInput(f"{pool.name}: mixup inference needs images of each of {self.num_classes} classes")
        device = self.first.device
        self.partners = pool.inputs[pool.labels.argsort(stable=True)].to(device)
        self.first = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0).cpu())).to(device)

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms (N, K) of the averaged probabilities, for images (N, C, H, W) in [0, 1].

        Raises
        ------
        InvalidInput: it was given no partners.
        """
        return self._answer(x, self.draws, None)

    def sample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Log probabilities (N, K) of one mixture for each image, drawn from ``generator`` on the CPU."""
        return self._answer(x, 1, generator)

    def _answer(self, x: Tensor, draws: int, generator: torch.Generator | None) -> Tensor:
        mixtures = self.share * x + (1 - self.share) * self._drawn(x, draws, generator)
        logits = cast(Tensor, self.base(mixtures.flatten(0, 1)))
        each: Tensor = logits.unflatten(0, (draws, len(x))).log_softmax(2)
        return each.logsumexp(0) - math.log(draws)

    @torch.no_grad()
    def _drawn(self, x: Tensor, draws: int, generator: torch.Generator | None) -> Tensor:
        """Partners (draws, N, C, H, W): any other class is as likely as any, and so is each image within a class."""
        if not len(self.partners):
            raise InvalidInput("mixup inference has no partners to mix with: call admit(pool) first")
        predicted = self.base(x).argmax(1)
        # Drawn on the CPU, so that a seed means the same partners on every device.
        which, place = torch.rand(2, draws, len(x), generator=generator).to(x.device)
        other = (which * (self.num_classes - 1)).long()
        other += other >= predicted
        start, end = self.first[other], self.first[other + 1]
        return self.partners[start + (place * (end - start)).long()].to(x.dtype)


class Unmixed(DefendedModel):
    """The control: the network under the defense, by itself."""

    def __init__(self, base: nn.Module, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) for images (N, C, H, W) in [0, 1]."""
        return cast(Tensor, self.base(x))
