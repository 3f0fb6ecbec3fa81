"""Training through an attack: how the distance to the boundary depends on the weights, in closed form."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import run
from advplug.errors import InvalidInput
from advplug.training import MMA, Batch, TrainingConfig, boundary_distance, fit

DUALS = {"linf": 1.0, "l2": 2.0, "l1": torch.inf}


def line(seed: int = 0) -> nn.Linear:
    """Two classes on inputs of five values, in float64."""
    net = nn.Linear(5, 2, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.randn(2, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
        net.bias.zero_()
    return net


def inputs(net: nn.Linear, count: int = 6) -> tuple[Tensor, Tensor]:
    """Points (n, 5) inside the box, and the class that ``net`` gives them."""
    x = 0.3 + 0.4 * torch.rand(count, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x, net(x).argmax(1)


def closed_form(net: nn.Linear, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """``margin / ||w_y - w_other||`` in the dual norm, (n,), with its graph."""
    w = net.weight[y] - net.weight[1 - y]
    return (w * x).sum(1) / torch.linalg.vector_norm(w, DUALS[norm], dim=1)


def nearest(net: nn.Linear, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """The nearest point of the boundary, (n, 5)."""
    w, distance = (net.weight[y] - net.weight[1 - y]).detach(), closed_form(net, x, y, norm).detach()[:, None]
    if norm == "l2":
        return x - distance * w / w.norm(dim=1, keepdim=True)
    if norm == "linf":
        return x - distance * w.sign()
    steepest = F.one_hot(w.abs().argmax(1), 5)
    return x - distance * w.sign() * steepest


@pytest.mark.parametrize("norm", list(DUALS))
def test_the_distance_and_its_gradient_are_those_of_the_closed_form(norm: str) -> None:
    net = line()
    x, y = inputs(net)
    expected = closed_form(net, x, y, norm)
    distance = boundary_distance(net, x, y, nearest(net, x, y, norm), norm)
    torch.testing.assert_close(distance, expected)
    weighted = torch.arange(1.0, len(x) + 1, dtype=torch.float64)
    (wanted,) = torch.autograd.grad((weighted * expected).sum(), net.weight)
    (found,) = torch.autograd.grad((weighted * distance).sum(), net.weight)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("largest", [0.1, 10.0])
def test_mma_pays_for_what_is_missing_to_the_largest_distance(largest: float) -> None:
    ddn = pytest.importorskip("advplug_attack_ddn").DDN(steps=100)
    net = line()
    x, y = inputs(net)
    y = torch.where(torch.arange(len(y)) == 0, 1 - y, y)  # a wrong one adds cross-entropy alone
    loss, logits = MMA(attack=ddn, largest=largest, weight=2.0)(
        net, Batch(x, y, None, torch.Generator().manual_seed(0))
    )
    missing = (1 - closed_form(net, x, y, "l2")[1:] / largest).clamp(min=0).sum() / len(x)
    torch.testing.assert_close(loss, F.cross_entropy(net(x), y) + 2 * missing, rtol=0.02, atol=0)
    torch.testing.assert_close(logits, net(x))


def test_mma_widens_the_margins_and_plain_training_does_not_as_much() -> None:
    ddn = pytest.importorskip("advplug_attack_ddn").DDN(steps=10)
    x = torch.rand(400, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0, :2].mean((1, 2)) > x[:, 0, 2:].mean((1, 2))).long()

    def median(**loss: Any) -> float:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))
        fit(net, (x, y), TrainingConfig(epochs=10, learning_rate=0.05, batch_size=50, **loss))
        return float(run(ddn, net, x[:100], y[:100], "l2:min").distance.nanmedian())

    assert median(loss=MMA(attack=ddn, largest=1.0, weight=5)) > 1.1 * median()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threat": "l2:1"}, "give l2:min, without a budget"),
        ({"threat": "linf:min"}, "cannot train under linf: choose l2"),
        ({"largest": 0.0}, "largest"),
    ],
)
def test_what_cannot_be_trained_through_is_refused(settings: dict[str, Any], message: str) -> None:
    ddn = pytest.importorskip("advplug_attack_ddn").DDN()
    with pytest.raises(InvalidInput, match=message):
        MMA(**{"attack": ddn, "largest": 1.0, **settings})
