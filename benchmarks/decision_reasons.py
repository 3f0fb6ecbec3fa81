"""Four questions that the tables of decision.py leave open, on digits that are not in them.

python benchmarks/decision_reasons.py planes   GeoDA with exact normals: does the boundary stand in for a plane?
python benchmarks/decision_reasons.py seeds    HopSkipJump under Linf: is what divides the libraries more than chance?
python benchmarks/decision_reasons.py long     HopSkipJump and Sign-OPT under L2, 10,000 queries: seeds and settings
python benchmarks/decision_reasons.py precision   Sign-OPT on a linear model: what its bisections hide
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np
import torch
from decision import Counting, Digits, Enough, Nearest, art, foolbox
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.numerics import norms

QUERIES = 3000
NORMALS = 8
LONG = 10_000
PRECISE = (300, 1000, 2000, 4000)
SEEDS: list[tuple[str, dict[str, Any], int]] = [
    (name, {}, seed) for name in ("hopskipjump", "sign-opt") for seed in range(3)
]
FINE: list[tuple[str, dict[str, Any], int]] = [("sign-opt", {"precision": 1e-5}, seed) for seed in range(3)]
"""ART bisects to 2e-6, ours to a thousandth of the distance."""


@click.command()
@click.argument("question", type=click.Choice(["planes", "seeds", "long", "precision"]))
@click.option("--skip", default=100, show_default=True, help="Digits that come before them.")
@click.option("--limit", default=24, show_default=True, help="Digits.")
def main(*, question: str, skip: int, limit: int) -> None:
    """Print the answer as lines of Markdown."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    np.random.seed(1)
    if question == "precision":
        for share in (1e-3, 1e-5):
            click.echo(f"| {share:g} | {' | '.join(f'{ratio:.2f}' for ratio in precise(share))} |")
    elif question == "planes":
        for preset in ("mnist", "mnist-linf"):
            click.echo(planes(preset, digits(preset, skip, limit)))
    else:
        for name, found in (seeds if question == "seeds" else long)(digits("mnist", skip, limit)):
            middle, mean = found.median(), found.log().mean().exp()
            click.echo(f"| {name} | {middle:.3f} | {mean:.3f} |")


def digits(preset: str, skip: int, limit: int) -> Digits:
    """The network, and digits that it gets right."""
    net = load("defense:adversarial-training")().build(preset).requires_grad_(False)
    data = load("data:mnist")().load("shipped", 2 * (skip + limit))
    right = (net(data.inputs).argmax(1) == data.labels).nonzero().squeeze(1)[skip : skip + limit]
    return net, data.inputs[right], data.labels[right]


def planes(preset: str, given: Digits) -> str:
    """Medians of the nearest point after each exact normal, and of HopSkipJump and GeoDA after 3000 queries."""
    net, x, y = given
    start = run(load("attack:geoda")(queries=300), net, x, y, ThreatModel("l2"))
    point, best = start.adversarials, start.distance
    medians = []
    for _ in range(NORMALS):
        met, distance = along(net, x, y, normal(net, point, y))
        point = torch.where((distance < torch.inf)[:, None, None, None], met, point)
        best = torch.minimum(best, distance)
        medians.append(f"{best.median():.2f}")
    peers = [run(load(f"attack:{name}")(queries=QUERIES), net, x, y, ThreatModel("l2")).distance.median() for name in
             ("geoda", "hopskipjump")]  # fmt: skip
    return f"| `{preset}` | {' | '.join(medians)} | {peers[0]:.2f} | {peers[1]:.2f} |"


def normal(net: nn.Module, point: Tensor, y: Tensor) -> Tensor:
    """The unit gradient (n, ...) of the lead of the best other class."""
    with torch.enable_grad():
        asked = point.detach().requires_grad_()
        logits = net(asked)
        own = logits.gather(1, y[:, None]).squeeze(1)
        lead = logits.scatter(1, y[:, None], -torch.inf).amax(1) - own
        (gradient,) = torch.autograd.grad(lead.sum(), asked)
    return gradient / gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]


@torch.no_grad()
def along(net: nn.Module, x: Tensor, y: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """Where the straight way from the clean digits meets the boundary, and how far that is: inf where it does not."""
    low, high = torch.zeros(len(x)), torch.full((len(x),), 0.05)

    def point(t: Tensor) -> Tensor:
        return (x + t[:, None, None, None] * way).clamp(0, 1)

    for _ in range(16):
        wrong = net(point(high)).argmax(1) != y
        low, high = torch.where(wrong, low, high), torch.where(wrong, high, 1.5 * high)
    for _ in range(16):
        middle = (low + high) / 2
        wrong = net(point(middle)).argmax(1) != y
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    met = point(high)
    reached = net(met).argmax(1) != y
    return met, torch.where(reached, norms(met - x, "l2").double(), torch.inf)


def seeds(given: Digits) -> Iterator[tuple[str, Tensor]]:
    """Distances after 3000 queries: ours with three seeds, and those of Foolbox and ART."""
    for seed in range(3):
        yield f"advplug, seed {seed}", ours(given, "linf", QUERIES, "hopskipjump", seed)
    yield "foolbox", theirs(given, "linf", QUERIES, foolbox("HopSkipJumpAttack", constraint="linf", steps=1000))
    yield "ART", theirs(given, "linf", QUERIES, art("HopSkipJump", norm=np.inf, max_iter=1000))


def long(given: Digits) -> Iterator[tuple[str, Tensor]]:
    """Distances after 10,000 queries: ours with three seeds, Sign-OPT with finer bisections too, and the others'."""
    yield "ART `HopSkipJump`", theirs(given, "l2", LONG, art("HopSkipJump", norm=2, max_iter=1000))
    for name, settings, seed in SEEDS + FINE:
        said = "".join(f", {key} {value:g}" for key, value in settings.items())
        yield f"advplug `{name}`, seed {seed}{said}", ours(given, "l2", LONG, name, seed, **settings)
    foolboxes = foolbox("HopSkipJumpAttack", constraint="l2", steps=1000)
    yield "foolbox `HopSkipJumpAttack`", theirs(given, "l2", LONG, foolboxes)
    yield "ART `SignOPTAttack`", theirs(given, "l2", LONG, art("SignOPTAttack", targeted=False, query_limit=LONG))


def precise(share: float) -> list[float]:
    """Distance of Sign-OPT over the least one, a geometric mean, after each of ``PRECISE`` queries: 8 images."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 2)).eval().requires_grad_(False)
    x = torch.rand(8, 1, 28, 28) * 0.2 + 0.4
    scores, (first, second) = net(x), net[1].weight
    least = (scores[:, 0] - scores[:, 1]).abs() / (first - second).norm()
    nearest = Nearest()
    attack = load("attack:sign-opt")(queries=PRECISE[-1], precision=share)
    run(attack, net, x, scores.argmax(1), ThreatModel("l2"), tracker=nearest)
    return [float((nearest.after[queries - 1] / least).log().mean().exp()) for queries in PRECISE]


def ours(given: Digits, norm: Any, queries: int, name: str, seed: int, **settings: Any) -> Tensor:
    """Distances (N,) of an attack of ours."""
    nearest, attack = Nearest(), load(f"attack:{name}")(queries=queries, **settings)
    run(attack, *given, ThreatModel(norm), tracker=nearest, seed=seed)
    return nearest.after[queries - 1]


def theirs(given: Digits, norm: str, queries: int, attack: Callable[..., None]) -> Tensor:
    """Distances (N,) of an attack of another library, from its global generator."""
    net, x, y = given
    distances = []
    for number in range(len(x)):
        one = x[number : number + 1], y[number : number + 1]
        model = Counting(net, *one, norm, queries).eval()
        with contextlib.suppress(Enough):
            attack(model, *one)
        distances.append(model.after(queries))
    return torch.tensor(distances)


if __name__ == "__main__":
    main()
