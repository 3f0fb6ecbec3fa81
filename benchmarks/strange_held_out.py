"""Models that nobody looked at while the search was written: what it does on them is what it does on a new one.

Each again hides how weak it is, but for the control at the end.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy import ndimage
from strange_defenses import cents, members, plain
from strange_nets import Around, Strange
from strange_training import Bits, Patches, classify, reconstruct, trained, training_digits
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import Decision, DefendedModel, load


def median(x: Tensor) -> Tensor:
    """The median of 3 x 3 pixels, by SciPy."""
    return torch.from_numpy(ndimage.median_filter(x.detach().numpy(), (1, 1, 3, 3)))


class Flipped(torch.autograd.Function):
    """The identity, with a gradient of the wrong sign."""

    @staticmethod
    def forward(_context: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: object, gradient: Tensor) -> Tensor:
        return -gradient


class Codebook(nn.Module):
    """Each patch becomes the nearest of 64 patches of training digits."""

    def __init__(self) -> None:
        super().__init__()
        patches = F.unfold(training_digits()[0][:200], 4, stride=4).transpose(1, 2).reshape(-1, 16)
        inked = patches[patches.std(1) > 0.1]
        self.known: Tensor
        self.register_buffer("known", torch.cat([torch.zeros(1, 16), inked[:: len(inked) // 63][:63]]))

    def forward(self, patches: Tensor) -> Tensor:
        return self.known[torch.cdist(patches, self.known.expand(len(patches), -1, -1)).argmin(2)]


class Rounded(nn.Module):
    """The network on inputs of three levels, with probabilities of two decimals."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x * 2).round() / 2).softmax(1).round(decimals=2)  # type: ignore[no-any-return]


class Projected(nn.Module):
    """A linear classifier of the signs of 256 random projections of features."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.features, self.signs = net[:5], Bits()
        self.project, self.head = nn.Linear(1568, 256), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.signs(self.project(self.features(x))))  # type: ignore[no-any-return]


def ranks(z: Tensor) -> Tensor:
    """The place of each class among the scores."""
    return z.argsort(1).argsort(1).float()


class Denoised(nn.Module):
    """Noise, then a denoising autoencoder, without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.clean = plain(), trained("denoiser", self.denoiser, reconstruct, 5)

    @staticmethod
    def denoiser() -> nn.Module:
        """Convolutions of 7 x 7."""
        return nn.Sequential(
            nn.Conv2d(1, 12, 7, 2, 3), nn.ReLU(), nn.ConvTranspose2d(12, 1, 7, 2, 3, output_padding=1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            purified = self.clean(x + 0.15 * torch.randn_like(x))
        return self.net(purified)  # type: ignore[no-any-return]


class Memory(nn.Module):
    """Answers for the nearest of 1,000 stored features instead of the input's own."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.features, self.head = net[:7], net[7]
        with torch.no_grad():
            self.stored = self.features(training_digits()[0][:1000])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stored[torch.cdist(self.features(x), self.stored).argmin(1)])  # type: ignore[no-any-return]


def binary() -> nn.Module:
    """A network whose activations are signs, trained straight-through."""

    def build() -> nn.Module:
        layers = [nn.BatchNorm2d(16), Bits(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), Bits(), nn.Flatten()]
        return nn.Sequential(nn.Conv2d(1, 16, 5, 2, 2), *layers, nn.Linear(1568, 10))

    return trained("binary", build, classify, 6)


class Smoothed(nn.Module):
    """Fifteen steps of descent on the total variation before the network answers; none of them has a gradient."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        point = x.detach().clone()
        for _ in range(15):
            down, right = (point.diff(dim=dim).sign() for dim in (2, 3))
            point = point + 0.02 * (F.pad(down, (0, 0, 0, 1)) - F.pad(down, (0, 0, 1, 0)))
            point = point + 0.02 * (F.pad(right, (0, 1)) - F.pad(right, (1, 0)))
        return self.net(point.clamp(0, 1))  # type: ignore[no-any-return]


class Agreement(DefendedModel):
    """Rejects whatever a second network answers otherwise; offers no score of it."""

    def __init__(self, net: nn.Module, other: nn.Module) -> None:
        super().__init__(10)
        self.net, self.other = net, other

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]

    def decide(self, x: Tensor) -> Decision:
        labels = self.net(x).argmax(1)
        return Decision(labels, labels == self.other(x).argmax(1))


class Masked(nn.Module):
    """Votes of nine passes, each of which misses a fixed fifth of the pixels."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.masks = (torch.rand(9, 1, 28, 28, generator=torch.Generator().manual_seed(0)) > 0.2).float()

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([F.one_hot(self.net(x * mask).argmax(1), 10) for mask in self.masks]).sum(0).float()


def looked_up(x: Tensor) -> Tensor:
    """Pixels through a table of 16 entries, steep in the middle."""
    table = (8 * (torch.arange(16) / 15 - 0.5)).sigmoid()
    return table[(x * 15).round().long()]


def as_bytes(x: Tensor) -> Tensor:
    """Pixels as whole numbers from 0 to 255, and back."""
    return (x * 255).byte().float() / 255


def spectrum(x: Tensor) -> Tensor:
    """Fourier coefficients, rounded."""
    coefficients = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
    return torch.fft.irfft2(torch.view_as_complex((coefficients / 0.3).round() * 0.3), s=(28, 28), norm="ortho")


def scripted() -> nn.Module:
    """Compiled by TorchScript, so that nothing inside can be hooked."""
    return torch.jit.trace(Rounded(plain()), torch.rand(2, 1, 28, 28))  # type: ignore[no-any-return]


def robust() -> nn.Module:
    """An adversarially trained network behind inputs of 16 levels: a masked gradient, and true robustness."""
    net = load("defense:adversarial-training")().build("mnist-linf")
    return Around(net, lambda x: (x * 15).round() / 15, cents)


_BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "median by SciPy": lambda: Around(plain(), median, cents),
    "flipped backward": lambda: Around(plain(), Flipped.apply, cents),
    "attention over a codebook": lambda: trained("codebook", lambda: Patches(Codebook()), classify, 8),
    "scripted, rounds inside": scripted,
    "signs of projections": lambda: trained("projected", lambda: Projected(plain()), classify, 3),
    "ranks": lambda: Around(plain(), None, ranks),
    "noise, then an autoencoder": Denoised,
    "memory of features": lambda: Memory(plain()),
    "binary activations": binary,
    "total variation": lambda: Smoothed(plain()),
    "two networks must agree": lambda: Agreement(*members()[:2]),
    "vote over masks": lambda: Masked(plain()),
    "look-up table for pixels": lambda: Around(plain(), looked_up, cents),
    "bytes": lambda: Around(plain(), as_bytes, cents),
    "rounded spectrum": lambda: Around(plain(), spectrum),
    "control: robust behind 16 levels": robust,
}

HELD_OUT = {f"held out: {name}": Strange(build, held_out=True) for name, build in _BUILDERS.items()}
