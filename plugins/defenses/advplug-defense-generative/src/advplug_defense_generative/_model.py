"""The deployed classifier: scores by importance sampling, with fresh noise for every answer, and the detector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from advplug.model import Decision, DefendedModel
from advplug.training import Batch
from advplug_defense_generative._detector import KLDetector
from advplug_defense_generative._network import Bound, Joint


class GBZ(DefendedModel):
    """The generative classifier of Li et al. 2019 with its KL detector.

    The score of class c estimates log p(x, c) from ``draws`` samples of q(z|x, c); :class:`Joint` has the terms. The
    noise comes from torch's global generator.

    Parameters
    ----------
    joint: the networks.
    draws: samples of z for each class and answer, K in the paper.
    """

    stochastic = True

    def __init__(self, joint: Joint, draws: int = 10) -> None:
        super().__init__(joint.classes)
        self.joint, self.draws = joint, draws
        self.detector = KLDetector(joint.classes)

    @property
    def thresholds(self) -> Tensor:
        """What :meth:`detector_scores` must not exceed, (1,)."""
        return self.detector.limit.new_zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, K) for images (N, C, H, W) in [0, 1]."""
        return self._scores(x, None)

    def sample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Scores (N, K), their noise from ``generator`` on the CPU."""
        return self._scores(x, generator)

    def decide(self, x: Tensor) -> Decision:
        """The likeliest class, rejected where the divergence of the same scores exceeds the threshold of that class."""
        with torch.no_grad():
            logits = self(x)
            labels = logits.argmax(1)
            return Decision(labels, self.detector.excess(logits, labels) <= 0)

    def detector_scores(self, x: Tensor) -> Tensor:
        """Divergence less the threshold of the predicted class, (N,), under fresh noise; differentiable."""
        logits = self(x)
        return self.detector.excess(logits, logits.argmax(1))

    def features(self, x: Tensor) -> Tensor:
        """The representation (N, H) that every posterior starts from. Nothing is random here."""
        h: Tensor = self.joint.trunk(self.joint.observe(x))
        return h

    def surrogate(self, x: Tensor) -> Tensor:
        """The label terms alone, (N, K): the mean of log p(c|z) over samples z of q(z|x, c). For BPDA."""
        h = self.features(x)
        z = self.joint.posterior(h, self.joint.every_class(h)).draw(self._noise(h, None))
        labels: Tensor = self.joint.label(z).log_softmax(3)
        return labels.mean(0).diagonal(dim1=1, dim2=2)

    def bound(self, x: Tensor, generator: torch.Generator | None = None) -> Bound:
        """The terms (draws, N, K) behind the scores of ``x``; the noise is from torch's global generator for None."""
        phi = self.joint.observe(x)
        h = self.joint.trunk(phi)
        every = self.joint.every_class(h)
        return self.joint.bound(phi, self.joint.posterior(h, every), every, self._noise(h, generator))

    def _scores(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.bound(x, generator).total.logsumexp(0) - math.log(self.draws)

    def _noise(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Standard normal (draws, N, K, latent), drawn on the CPU, so that a seed means the same on every device."""
        shape = (self.draws, len(h), self.num_classes, self.joint.latent)
        return torch.randn(shape, generator=generator).to(h)


class FixedNoise(GBZ):
    """The same networks and detector with the same noise in every answer, for every image: what is left is no chance.

    Parameters
    ----------
    model: whose networks, detector and number of draws are taken.
    seed: of the noise.
    """

    stochastic = False
    noise: Tensor

    def __init__(self, model: GBZ, seed: int = 0) -> None:
        super().__init__(model.joint, model.draws)
        self.detector = model.detector
        shape = (model.draws, 1, model.num_classes, model.joint.latent)
        self.register_buffer("noise", torch.randn(shape, generator=torch.Generator().manual_seed(seed)))

    def _noise(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.noise.to(h).expand(-1, len(h), -1, -1)


def lower_bound(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The training loss: minus the bound of the true class at one draw of z, the mean over the batch.

    The logits are those of p(y|z) there.
    """
    assert isinstance(model, GBZ)
    joint = model.joint
    phi = joint.observe(batch.x)
    one_hot = nn.functional.one_hot(batch.y, joint.classes).to(phi)[:, None]
    q = joint.posterior(joint.trunk(phi), one_hot)
    noise = torch.randn((1, *q.mean.shape), generator=batch.generator).to(phi)
    return -joint.bound(phi, q, one_hot, noise).total.mean(), joint.label(q.draw(noise))[0, :, 0]
