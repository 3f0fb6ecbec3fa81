"""More models that hide how weak they are, for the search: noise, quantisation, detectors, purifiers, votes, codes.

``DEFENSES`` holds those on which the search was tuned; strange_held_out.py those that it was only measured on.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from distillation import network, pair
from PIL import Image
from strange_nets import Around, Step, Strange, quantised
from strange_training import Bits, Patches, classify, reconstruct, trained, training_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from advplug import Decision, DefendedModel, load

ACCEPTED = 0.95
"""Share of clean digits that the detectors accept."""


def plain() -> nn.Sequential:
    """The network that almost all defenses are put around."""
    return pair()[0]  # type: ignore[return-value]


def members() -> tuple[nn.Module, nn.Module, nn.Module]:
    """Three networks of different training, none of them robust."""
    return plain(), trained("second", network, classify, 5), load("defense:adversarial-training")().build("mnist")


def inside(after: int, function: Callable[[Tensor], Tensor]) -> nn.Sequential:
    """The plain network with ``function`` after so many of its layers."""
    net = plain()
    return nn.Sequential(net[:after], Step(function), net[after:])


def noise_inside(f: Tensor) -> Tensor:
    return F.dropout(f + 0.3 * torch.randn_like(f), 0.3, training=True)


def cents(z: Tensor) -> Tensor:
    """Probabilities of two decimals, so that a search that reads scores alone sees few of its steps."""
    return z.softmax(1).round(decimals=2)


class Quantised(nn.Module):
    """Weights and scores of 15 levels, and activations of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.net: nn.Sequential = plain()
        for layer in self.net:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                step = layer.weight.abs().amax() / 7
                layer.weight.copy_((layer.weight / step).round() * step)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net[:-1]:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                step = x.flatten(1).amax(1).view(-1, *[1] * (x.ndim - 1)) / 7
                x = (x / step).round() * step
        scores: Tensor = self.net[-1](x)
        step = scores.abs().amax(1, keepdim=True) / 7
        return (scores / step).round()


class Energy(DefendedModel):
    """Rejects inputs of little energy: whose logits have a small logsumexp."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(10)
        self.net = net
        with torch.no_grad():
            self.thresholds = self.detector_scores(training_digits()[0][:500]).quantile(ACCEPTED)[None]

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]

    def detector_scores(self, x: Tensor) -> Tensor:
        return -self.net(x).logsumexp(1)  # type: ignore[no-any-return]

    def decide(self, x: Tensor) -> Decision:
        return Decision(self.net(x).argmax(1), self.detector_scores(x) <= self.thresholds[0])


class Squeezed(Energy):
    """Rejects inputs whose probabilities change when they are smoothed, or cut to four levels."""

    def detector_scores(self, x: Tensor) -> Tensor:
        here = self.net(x).softmax(1)
        others = (F.avg_pool2d(x, 3, 1, 1), (x * 3).round() / 3)
        return torch.stack([(self.net(other).softmax(1) - here).abs().sum(1) for other in others]).amax(0)


def autoencoder() -> nn.Module:
    """Digits through 48 bits and back."""

    def build() -> nn.Module:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 48), nn.BatchNorm1d(48))
        decoder = nn.Sequential(nn.Linear(48, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid())
        return nn.Sequential(encoder, Bits(), decoder, nn.Unflatten(1, (1, 28, 28)))

    return trained("autoencoder", build, reconstruct, 12)


class PixelNeighbours(nn.Module):
    """Votes of the 15 nearest of 3,000 digits, in pixels."""

    def __init__(self) -> None:
        super().__init__()
        inputs, self.labels = (part[:3000] for part in training_digits())
        self.stored = inputs.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        near = torch.cdist(x.flatten(1), self.stored).topk(15, largest=False).indices
        return F.one_hot(self.labels[near], 10).sum(1).float()


class Product(nn.Module):
    """The product of the probabilities of several networks, of two decimals."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([net(x).softmax(1) for net in self.nets]).prod(0).round(decimals=2)


class Majority(Product):
    """How many of several networks vote for each class."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([F.one_hot(net(x).argmax(1), 10) for net in self.nets]).sum(0).float()


class RandomBackward(torch.autograd.Function):
    """The identity, with noise for a gradient."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return torch.randn_like(gradient)


def pillow(x: Tensor) -> Tensor:
    """JPEG of quality 30, by Pillow."""
    return torch.stack([_compressed(image) for image in (x.detach() * 255).round().byte().numpy()]).to(x)


def _compressed(image: Any) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(image[0]).save(file, "JPEG", quality=30)
    return torch.from_numpy(np.asarray(Image.open(file)) / np.float32(255))[None]


class Decoy(nn.Module):
    """The detached scores of one network, and a fifth of those of another, which alone has a gradient."""

    def __init__(self, net: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.net, self.other = net, other

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).detach() + 0.2 * self.other(x)  # type: ignore[no-any-return]


class NoGrad(nn.Module):
    """The network under ``torch.no_grad``."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]


def channels(x: Tensor) -> Tensor:
    """A thermometer code in ten channels, (n, 10, 28, 28)."""
    levels = (torch.arange(10).to(x) + 0.5) / 10
    return (x > levels[:, None, None]).to(x)


def coded() -> nn.Module:
    """A network that was trained on the code."""

    def build() -> nn.Module:
        return Around(nn.Sequential(nn.Conv2d(10, 16, 5, 2, 2), *network()[1:]), channels)  # type: ignore[index]

    return trained("thermometer", build, classify, 5)


class Crops(nn.Module):
    """Votes of ten random crops of 24 x 24 pixels."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        votes = [F.one_hot(self.net(self.crop(x)).argmax(1), 10) for _ in range(10)]
        return torch.stack(votes).sum(0).float()

    def crop(self, x: Tensor) -> Tensor:
        """One random crop, resized."""
        top, left = (int(torch.randint(0, 5, ())) for _ in "12")
        return F.interpolate(x[:, :, top : top + 24, left : left + 24], size=28, mode="bilinear", align_corners=False)


class Ferns(nn.Module):
    """A look-up table of the classes that each of 60 random trees of eight comparisons of features met in training."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.features = net[:5]
        generator = torch.Generator().manual_seed(0)
        self.first, self.second = torch.randint(0, 1568, (2, 60, 8), generator=generator)
        inputs, labels = training_digits()
        leaves = self.leaves(inputs)
        counts = torch.full((60, 256, 10), 0.1)
        counts.index_put_((torch.arange(60), leaves, labels[:, None]), torch.ones(()), accumulate=True)
        self.table = (counts / counts.sum(2, keepdim=True)).log()

    def leaves(self, x: Tensor) -> Tensor:
        """Which leaf of each tree an input reaches, int64 (n, 60)."""
        f = self.features(x)
        return ((f[:, self.first] > f[:, self.second]) * 2 ** torch.arange(8)).sum(2)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.table[torch.arange(60), self.leaves(x)].sum(1)


CODE = torch.randint(0, 2, (10, 16), generator=torch.Generator().manual_seed(3)).float()


class ErrorCorrecting(nn.Module):
    """Sixteen bits, each a steep sigmoid, and minus their distance to the code of each class."""

    def __init__(self) -> None:
        super().__init__()

        def fit(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(net(x), CODE[y])

        self.net = trained("code", lambda: nn.Sequential(*network()[:-1], nn.Linear(64, 16)), fit, 5)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        bits = (100 * self.net(x)).sigmoid()
        return -torch.cdist(bits, CODE, p=1)


class Checkpointed(nn.Module):
    """The network, which computes its activations again for the backward pass."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.net, x, use_reentrant=False)  # type: ignore[no-any-return]


def integers() -> nn.Module:
    """The dense layers in eight-bit integers."""
    return torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear}, dtype=torch.qint8)  # type: ignore[no-any-return]


def attention(tokens: nn.Module | None = None) -> nn.Module:
    """Attention over patches, each of them through ``tokens`` after the training."""
    net = trained("patches", Patches, classify, 8)
    net.tokens = nn.Identity() if tokens is None else tokens
    return net


def saturated(z: Tensor) -> Tensor:
    """The logarithm of probabilities that are 0 or 1 but for rounding."""
    return (30 * z).softmax(1).clamp(min=1e-30).log()


_BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "control: attention over patches": attention,
    "control: checkpointed": lambda: Checkpointed(plain()),
    "noise and dropout inside": lambda: inside(4, noise_inside),
    "quantised weights and activations": Quantised,
    "attention over rounded patches": lambda: attention(Step(quantised(5))),
    "energy detector": lambda: Energy(plain()),
    "squeezing detector": lambda: Squeezed(plain()),
    "autoencoder of bits": lambda: nn.Sequential(autoencoder(), plain()),
    "nearest neighbours in pixels": PixelNeighbours,
    "product of probabilities": lambda: Product([*members()[:2], pair()[1]]),
    "vote of three networks": lambda: Majority(members()),
    "random backward": lambda: Around(plain(), RandomBackward.apply, cents),
    "JPEG by Pillow": lambda: Around(plain(), pillow, cents),
    "detached beside a decoy": lambda: Decoy(*members()[:2]),
    "under no_grad": lambda: Around(NoGrad(plain()), None, cents),
    "logarithm of a saturated softmax": lambda: Around(plain(), None, saturated),
    "one-hot answers": lambda: Around(plain(), None, lambda z: F.one_hot(z.argmax(1), 10).float()),
    "thermometer code in channels": lambda: Around(coded(), None, cents),
    "random crops": lambda: Crops(plain()),
    "floor inside": lambda: inside(4, lambda f: (2 * f).floor() / 2),
    "trees over features": lambda: Ferns(plain()),
    "error-correcting code": ErrorCorrecting,
    "integers of eight bits": lambda: Around(integers(), None, cents),
}

DEFENSES = {name: Strange(build) for name, build in _BUILDERS.items()}
