"""The joint distribution p(x, y, z) = p(z) p(y|z) p(x|z), and the posterior q(z|x, y) that trains with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Bound(NamedTuple):
    """The four terms of the variational bound at each draw of z, each (draws, N, classes)."""

    reconstruction: Tensor
    label: Tensor
    prior: Tensor
    posterior: Tensor

    @property
    def total(self) -> Tensor:
        """log p(x|z) + log p(y|z) + log p(z) - log q(z|x, y)."""
        return self.reconstruction + self.label + self.prior - self.posterior


class Posterior(NamedTuple):
    """q(z|x, y), a normal distribution: ``mean`` and ``log_scale``, both (N, classes, latent)."""

    mean: Tensor
    log_scale: Tensor

    def draw(self, noise: Tensor) -> Tensor:
        """z (draws, N, classes, latent) for standard normal ``noise`` of that shape."""
        return self.mean + self.log_scale.exp() * noise


class Joint(nn.Module):
    """The networks of GBZ (Li et al. 2019, model F).

    ``observe`` gives what is explained, an image or features phi of it; the likelihood is -||phi - decoded z||^2.
    Through ``decoded``, which changes nothing, go the mean logits of p(y|z) over the draws (N, m, K), for attacks that
    match them.

    Parameters
    ----------
    observe: from images (N, ...) to phi (N, D).
    trunk: from phi to a representation (N, H) that the posteriors of all classes share.
    decoder: from z (..., latent) to phi (..., D).
    width: H.
    hidden: width of the dense layers.
    latent: dimension of z.
    classes: number of classes K.
    depth: hidden layers of p(y|z); the posterior has one.
    """

    def __init__(
        self,
        observe: nn.Module,
        trunk: nn.Module,
        decoder: nn.Module,
        *,
        width: int,
        hidden: int,
        latent: int,
        classes: int = 10,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.observe, self.trunk, self.decoder = observe, trunk, decoder
        self.latent, self.classes = latent, classes
        self.encoder = nn.Sequential(*dense(width + classes, hidden, 2 * latent))
        self.label = nn.Sequential(*dense(latent, *[hidden] * depth, classes))
        self.decoded = nn.Identity()

    def posterior(self, h: Tensor, one_hot: Tensor) -> Posterior:
        """q(z|x, y) of representations ``h`` (N, H) for the classes ``one_hot`` (N, m, K)."""
        shared = h[:, None].expand(-1, one_hot.shape[1], -1)
        return Posterior(*self.encoder(torch.cat((shared, one_hot), 2)).chunk(2, dim=2))

    def every_class(self, h: Tensor) -> Tensor:
        """All classes, one-hot, for each of ``h`` (N, H): (N, K, K)."""
        return torch.eye(self.classes).to(h).expand(len(h), -1, -1)

    def bound(self, phi: Tensor, q: Posterior, one_hot: Tensor, noise: Tensor) -> Bound:
        """The terms at the z of ``noise`` (draws, N, m, latent), for the classes ``one_hot`` (N, m, K)."""
        z = q.draw(noise)
        logits = self.label(z)
        self.decoded(logits.mean(0))
        return Bound(
            reconstruction=-(phi[:, None] - self.decoder(z)).square().sum(3),
            label=(logits.log_softmax(3) * one_hot).sum(3),
            prior=log_normal(z, torch.zeros_like(z)),
            posterior=log_normal(noise, q.log_scale.expand_as(noise)),
        )


class Deconvolutions(nn.Module):
    """The authors' decoder of digits: two dense layers and three transposed convolutions, 4 to 7, 14 and 28 pixels.

    Parameters
    ----------
    latent: dimension of z.
    hidden: width of the first dense layer.
    """

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *dense(latent, hidden, 64 * 4**2),
            nn.ReLU(),
            nn.Unflatten(1, (64, 4, 4)),
            nn.ConvTranspose2d(64, 64, 5, 2, 2),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 64, 5, 2, 2, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 1, 5, 2, 2, output_padding=1),
            nn.Sigmoid(),
            nn.Flatten(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Pixels (..., 784) in [0, 1] for z (..., latent)."""
        pixels: Tensor = self.layers(z.reshape(-1, z.shape[-1]))
        return pixels.view(*z.shape[:-1], -1)


def log_normal(standardised: Tensor, log_scale: Tensor) -> Tensor:
    """Log density of a normal distribution, summed over the last dimension, at points that are ``standardised``."""
    return -(0.5 * (standardised.square() + math.log(2 * math.pi)) + log_scale).sum(-1)


def dense(*sizes: int) -> Iterator[nn.Module]:
    """Linear layers between ``sizes``, with ReLU between two of them."""
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        if number:
            yield nn.ReLU()
        yield nn.Linear(inputs, outputs)
