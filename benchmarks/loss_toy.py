"""Two circles and a network of 50 hidden units: where each loss has a gradient (Ozbulak et al., supplement).

python benchmarks/loss_toy.py docs/losses-circles.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from torch import Tensor, nn

from advplug.losses import CrossEntropy, Logit, Loss, View
from advplug.model import PlainModel
from advplug.numerics.tensors import raw, wrap

OUTER, INNER = 0, 1
RADII = (0.8, 0.3)


def circles(count: int, noise: float = 0.05, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points (2 * count, 2) on two circles around the origin, OUTER first, and their classes int64."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(2 * count, generator=generator)
    y = torch.arange(2).repeat_interleave(count)
    points = torch.tensor(RADII)[y, None] * torch.stack((angle.cos(), angle.sin()), 1)
    return points + noise * torch.randn(2 * count, 2, generator=generator), y


def trained(epochs: int = 1500, seed: int = 0) -> nn.Module:
    """One hidden layer of 50 ReLU units, trained on the circles."""
    x, y = circles(500)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(2, 50), nn.ReLU(), nn.Linear(50, 2))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net.eval().requires_grad_(False)


class Maps(NamedTuple):
    """On a grid (n, n) of [-1, 1] x [-1, 1]: sizes ``|dx| + |dy|`` of the gradients, and the target's softmax."""

    ce: Tensor
    ce_sign: Tensor
    logit: Tensor
    likely: Tensor


def maps(net: nn.Module, points: int = 201) -> Maps:
    """What each loss tells a point that is to become INNER."""
    axis = torch.linspace(-1, 1, points)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack((x.flatten(), y.flatten()), 1)
    ce, logit = (gradient(net, grid, loss) for loss in (CrossEntropy(), Logit()))
    likely = net(grid).softmax(1)[:, INNER]
    sizes = (ce.abs().sum(1), ce.sign().abs().sum(1), logit.abs().sum(1), likely)
    return Maps(*(values.view(points, points) for values in sizes))


def gradient(net: nn.Module, x: Tensor, loss: Loss) -> Tensor:
    """Of ``loss`` towards INNER at points ``x`` (n, 2)."""
    point = x.clone().requires_grad_()
    labels = torch.full((len(x),), OUTER)
    view = View(
        PlainModel(net, 2, (-1.0, 1.0)), wrap(point), wrap(net(point)), wrap(labels), wrap(labels + 1), wrap(labels), {}
    )
    return torch.autograd.grad(raw(loss(view)).sum(), point)[0]


def surer(net: nn.Module, factor: float = 8) -> nn.Module:
    """The same decisions with logits ``factor`` times as large."""
    return nn.Sequential(net, _Times(factor)).eval()


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


LOSSES = {"ce": "cross-entropy", "ce_sign": "sign of cross-entropy", "logit": "target's logit"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def main(*, file: Path) -> None:
    """Draw the maps and print the share of points without a gradient."""
    net = trained()
    x, y = circles(500)
    print(f"accuracy {(net(x).argmax(1) == y).float().mean():.3f}")
    found = {"as trained": maps(net), "logits times 8": maps(surer(net))}
    for title, one in found.items():
        print(
            f"{title}: D1 is {(one.likely <= 0.1).float().mean():.2f} of the square, D3 {deep(one).float().mean():.2f}"
        )
        for name, words in LOSSES.items():
            size = getattr(one, name)
            zero, before, inside = (size == 0).float().mean(), size[one.likely <= 0.1], size[deep(one)]
            medians = f"{before.median():.3g} in D1, {inside.median():.3g} in D3"
            print(f"  {words}: exactly 0 at {100 * zero:.1f} % of the points, median size {medians}")
    draw(found, file)


def deep(one: Maps) -> Tensor:
    """Where the target has a softmax of at least 0.9 (D3)."""
    return one.likely >= 0.9


def draw(found: dict[str, Maps], file: Path) -> None:
    """One row for each network: the data or a section through the maps, then the three maps."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(13, 6.6), layout="constrained")
    extent, low, high = (-1, 1, -1, 1), -6.0, 3.0
    colours = pyplot.get_cmap("viridis").with_extremes(bad="white")
    for row, (title, one) in zip(axes, found.items(), strict=True):
        for axis, (name, words) in zip(row[1:], LOSSES.items(), strict=True):
            size = getattr(one, name)
            log = size.log10().masked_fill(size == 0, torch.nan)
            image = axis.imshow(log, origin="lower", extent=extent, vmin=low, vmax=high, cmap=colours)
            axis.contour(one.likely, [0.9], extent=extent, colors="black", linewidths=0.8, linestyles="dashed")
            axis.set_title(f"{words}, {title}", fontsize=10)
    for axis in (axes[0, 0], *axes[:, 1:].flat):
        axis.contour(found["as trained"].likely, [0.5], extent=extent, colors="black", linewidths=1.2)
        axis.set(xlabel="x", ylabel="y", xticks=(-1, 0, 1), yticks=(-1, 0, 1), aspect="equal")
    x, y = circles(60)
    for kind, colour, marker, words in (
        (OUTER, "#0072b2", "o", "outer: to be moved"),
        (INNER, "#d55e00", "^", "inner: the target"),
    ):
        axes[0, 0].scatter(*x[y == kind].T, s=12, c=colour, marker=marker, label=words)
    axes[0, 0].set(title="data and decision", xlim=(-1.1, 1.1), ylim=(-1.1, 1.8))
    axes[0, 0].legend(fontsize=8, loc="upper center")
    section(axes[1, 0], found)
    figure.colorbar(image, ax=axes, label="log10(|dx| + |dy|); white: exactly 0", extend="min", shrink=0.8)
    figure.savefig(file, dpi=80)


def section(axis: Any, found: dict[str, Maps]) -> None:
    """The sizes along y = 0."""
    for (title, one), style in zip(found.items(), ("-", "--"), strict=True):
        across = torch.linspace(-1, 1, len(one.ce))
        for name, colour in (("ce", "#0072b2"), ("logit", "#d55e00")):
            label = f"{'CE' if name == 'ce' else 'logit'}, {title}"
            axis.semilogy(across, getattr(one, name)[len(one.ce) // 2], style, color=colour, label=label)
    axis.set(title="along y = 0", xlabel="x", ylabel="|dx| + |dy|", ylim=(1e-10, 1e12), xticks=(-1, 0, 1))
    axis.legend(fontsize=7, loc="upper center")


if __name__ == "__main__":
    main()
