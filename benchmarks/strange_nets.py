"""Models that fool an evaluation, each on one network of 40,000 parameters for digits, and controls that do not.

``CASES`` says of each which diagnostics must warn. The rules were set on those that are not ``held_out``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from distillation import pair
from strange_parts import BlurredWhenJudged, PartlyRounded, StoodFor
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import Decision, DefendedModel, load


class Around(nn.Module):
    """``after(net(before(x)))``."""

    def __init__(self, net: nn.Module, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.before, self.net, self.after = Step(before), net, Step(after)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.net(self.before(x)))


class Step(nn.Module):
    """A function as a module, so that it has a name."""

    def __init__(self, function: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return x if self.function is None else self.function(x)


def quantised(levels: int) -> Callable[[Tensor], Tensor]:
    return lambda x: (x * (levels - 1)).round() / (levels - 1)


def thermometer(x: Tensor) -> Tensor:
    """The mean of ten thresholds: a code of ten bits, decoded."""
    return torch.stack([(x > (level + 0.5) / 10).to(x) for level in range(10)]).mean(0)


def cosines(size: int) -> Tensor:
    """The orthonormal cosine transform."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    matrix = torch.cos(torch.pi * rows * (2 * columns + 1) / (2 * size)) * (2 / size) ** 0.5
    matrix[0] /= 2**0.5
    return matrix


def jpeg(x: Tensor) -> Tensor:
    """Blocks of 4 x 4 whose cosine coefficients are rounded."""
    matrix = cosines(4).to(x)
    blocks = x.unfold(2, 4, 4).unfold(3, 4, 4)
    rounded = ((matrix @ blocks @ matrix.T) / 0.2).round() * 0.2
    back = matrix.T @ rounded @ matrix
    return back.permute(0, 1, 2, 4, 3, 5).reshape(x.shape)


class Vote(nn.Module):
    """How often each class wins over copies of the input that ``vary`` makes."""

    def __init__(self, net: nn.Module, vary: Callable[[Tensor, int], Tensor], copies: int) -> None:
        super().__init__()
        self.net, self.vary, self.copies = net, vary, copies

    def forward(self, x: Tensor) -> Tensor:
        votes = [F.one_hot(self.net(self.vary(x, number)).argmax(1), 10) for number in range(self.copies)]
        return torch.stack(votes).sum(0).float()


def shifted(x: Tensor, number: int) -> Tensor:
    return x.roll((number % 3 - 1, number // 3 - 1), (2, 3))


def noisy(x: Tensor, _number: int = 0) -> Tensor:
    return x + 0.2 * torch.randn_like(x)


def resized(x: Tensor) -> Tensor:
    """Resized to 22 to 28 pixels, and padded at random."""
    size = int(torch.randint(22, 29, ()))
    left, top = (int(torch.randint(0, 29 - size, ())) for _ in "12")
    small = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    return F.pad(small, (left, 28 - size - left, top, 28 - size - top))


def inpainted(x: Tensor) -> Tensor:
    """A third of the pixels is dropped and filled with the mean of what is left around them."""
    keep = (torch.rand_like(x) > 0.33).to(x)
    near = F.avg_pool2d(x * keep, 3, 1, 1) / F.avg_pool2d(keep, 3, 1, 1).clamp(min=1e-3)
    return x * keep + near * (1 - keep)


class Neighbours(nn.Module):
    """Votes of the 15 nearest of 400 digits, in the network's features."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        own = load("data:mnist")().load("shipped", limit=900)[500:]
        self.features, self.labels = net[:-1], own.labels
        with torch.no_grad():
            self.stored = self.features(own.inputs)

    def forward(self, x: Tensor) -> Tensor:
        near = torch.cdist(self.features(x), self.stored).topk(15, largest=False).indices
        return F.one_hot(self.labels[near], 10).sum(1).float()


class Trapped(DefendedModel):
    """A detector of features that lie far from those of the predicted class."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__(10)
        own = load("data:mnist")().load("shipped", limit=900)[500:]
        self.net, self.body = net, net[:-1]
        with torch.no_grad():
            found = self.body(own.inputs)
            self.centres = torch.stack([found[own.labels == label].mean(0) for label in range(10)])
            self.thresholds = self.detector_scores(own.inputs).quantile(0.95)[None]

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def detector_scores(self, x: Tensor) -> Tensor:
        return (self.body(x) - self.centres[self.net(x).argmax(1)]).norm(dim=1)

    def decide(self, x: Tensor) -> Decision:
        return Decision(self.net(x).argmax(1), self.detector_scores(x) <= self.thresholds[0])


class BatchStatistics(nn.Module):
    """The network behind a normalisation by the statistics of the batch."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.norm = net, nn.BatchNorm2d(1, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.norm(x) * 0.31 + 0.13)


class Misleading(nn.Module):
    """The scores of one network with the gradient of an untrained one."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net, self.other = net, nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        false = 10 * self.other(x)
        return self.net(x).detach() + false - false.detach()


class Counting(nn.Module):
    """The temperature rises with every pass."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        return self.net(x) / (1 + 1e-9 * self.asked)


class Purified(nn.Module):
    """Three steps towards inputs of which the network is surer, before it answers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        point = x.detach()
        with torch.enable_grad():
            for _ in range(3):
                point = point.detach().requires_grad_()
                sure = self.net(point).log_softmax(1).amax(1).sum()
                point = (point + 0.02 * torch.autograd.grad(sure, point)[0].sign()).clamp(0, 1)
        return self.net(x + (point - x).detach())


class Opaque(torch.autograd.Function):
    """The identity, with a backward pass that gives nothing."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


def signs(net: nn.Sequential) -> nn.Module:
    """The network with signs added to its hidden layer, which carry the answer."""
    return nn.Sequential(net[:-1], Step(lambda f: (f / f.std().detach()).mul(2).round() / 2), net[-1])


@dataclass(frozen=True)
class Strange:
    """One model: how it is built, and the diagnostics that must warn. ``settings`` change the evaluation of it."""

    build: Callable[[], nn.Module]
    must: frozenset[str] = frozenset()
    held_out: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def _plain() -> nn.Sequential:
    return pair()[0]  # type: ignore[return-value]


def _around(before: Any = None, after: Any = None) -> Callable[[], nn.Module]:
    return lambda: Around(_plain(), before, after)


def _case(build: Callable[[], nn.Module], *must: str, held_out: bool = False, **settings: Any) -> Strange:
    return Strange(build, frozenset(must), held_out, settings)


def _trained(preset: str) -> Callable[[], nn.Module]:
    return lambda: load("defense:adversarial-training")().build(preset)


CASES: dict[str, Strange] = {
    "control: plain": _case(_plain),
    "control: plain, small budget": _case(_plain, epsilon=0.03),
    "control: adversarially trained, l2": _case(_trained("mnist-l2")),
    "control: adversarially trained, linf": _case(_trained("mnist-linf")),
    "rounded logits": _case(_around(after=lambda z: z.round(decimals=1)), "G1", "G8"),
    "rounded probabilities": _case(_around(after=lambda z: z.softmax(1).round(decimals=2)), "G1", "G8"),
    "inputs of 4 levels": _case(_around(quantised(4)), "G1", "G8"),
    "thermometer code": _case(_around(thermometer), "G1"),
    "JPEG": _case(_around(jpeg), "G1", "G8"),
    "detached forward": _case(_around(after=torch.Tensor.detach), "G1"),
    "hard vote": _case(lambda: Vote(_plain(), shifted, 9), "G1"),
    "noise vote": _case(lambda: Vote(_plain(), noisy, 16), "G1", "G6"),
    "random resize and pad": _case(_around(resized), "G6"),
    "drop and inpaint": _case(_around(inpainted), "G6"),
    "nearest neighbours": _case(lambda: Neighbours(_plain()), "G1"),
    "trap with a detector": _case(lambda: Trapped(_plain()), "G12"),
    "logits times 1000": _case(_around(after=lambda z: 1000 * z), "G2"),
    "distilled": _case(lambda: pair()[1], "G2"),
    "statistics of the batch": _case(lambda: BatchStatistics(_plain()), "G10"),
    "dropout at test time": _case(_around(lambda x: F.dropout(x, 0.3, training=True)), "G6"),
    "softmax for logits": _case(_around(after=lambda z: z.softmax(1)), "G10"),
    "gradient of another network": _case(lambda: Misleading(_plain()), "G3", "G8"),
    "counts its passes": _case(lambda: Counting(_plain()), "G10"),
    "purified": _case(lambda: Purified(_plain()), "G10"),
    "k winners": _case(lambda: load("defense:kwta")().build("mnist"), "G3"),
    "five short steps": _case(_plain, "G5", steps=5, step_size=0.01),
    "any input allowed": _case(_plain, "G13", epsilon=8.0),
    "held out: control, blurred": _case(_around(lambda x: F.avg_pool2d(x, 3, 1, 1)), held_out=True),
    "held out: control, half resolution": _case(
        _around(lambda x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)), held_out=True
    ),
    "held out: rounded features": _case(lambda: signs(_plain()), "G1", "G8", held_out=True),
    "held out: opaque function": _case(_around(Opaque.apply), "G1", "G8", held_out=True),
    "held out: sine of high frequency": _case(
        _around(lambda x: (x + 0.03 * torch.sin(200 * x)).clamp(0, 1)), "G3", held_out=True
    ),
    "held out: random brightness": _case(
        _around(lambda x: x * (0.6 + 0.8 * torch.rand(len(x), 1, 1, 1))), "G6", held_out=True
    ),
    "held out: random thresholds": _case(
        _around(lambda x: (x > 0.3 + 0.4 * torch.rand_like(x)).to(x)), "G1", "G6", held_out=True
    ),
    "held out: cubed logits": _case(_around(after=lambda z: z**3), "G2", held_out=True),
    "held out: blurred when judged": _case(lambda: BlurredWhenJudged(_plain()), "G4", held_out=True),
    "held out: plain for a robust network": _case(
        lambda: StoodFor(_trained("mnist-linf")(), _plain()), "G9", held_out=True, diagnose="full"
    ),
    "held out: rounded for three classes": _case(lambda: PartlyRounded(_plain()), "G1", "G11", held_out=True),
}
