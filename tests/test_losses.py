"""Each loss against its formula written out sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import losses
from advplug.engine.gateway import Gateway
from advplug.engine.objective import Objective
from advplug.engine.query_counter import QueryCounter
from advplug.errors import InvalidInput
from advplug.losses import Loss, View
from advplug.model import PlainModel
from advplug.numerics.tensors import raw, wrap


def _others(z: Tensor, excluded: int) -> Tensor:
    return torch.cat((z[:excluded], z[excluded + 1 :]))


def _dlr(z: Tensor, y: int) -> Tensor:
    top = z.sort(descending=True).values
    return (z[y] - _others(z, y).max()) / (top[0] - top[2] + 1e-12)


def _targeted_dlr(z: Tensor, y: int, t: int) -> Tensor:
    top = z.sort(descending=True).values
    return (z[y] - z[t]) / (top[0] - (top[2] + top[3]) / 2 + 1e-12)


UNTARGETED: list[tuple[Loss, Callable[[Tensor, int], Tensor]]] = [
    (losses.CrossEntropy(), lambda z, y: z.log_softmax(0)[y]),
    (losses.Margin(), lambda z, y: z[y] - _others(z, y).max()),
    (losses.Margin(confidence=0.5), lambda z, y: (z[y] - _others(z, y).max()).clamp(min=-0.5)),
    (
        losses.LogMargin(confidence=0.5),
        lambda z, y: (z.softmax(0).log()[y] - _others(z.softmax(0).log(), y).max()).clamp(-0.5),
    ),
    (losses.Logit(), lambda z, y: z[y]),
    (losses.MultiTargetLogit(a=2.0), lambda z, y: (2 * z[y] - _others(z, y).max()).clamp(min=-20)),
    (losses.DLR(), _dlr),
]
TARGETED: list[tuple[Loss, Callable[[Tensor, int, int], Tensor]]] = [
    (losses.CrossEntropy(), lambda z, y, t: -z.log_softmax(0)[t]),
    (losses.Margin(), lambda z, y, t: _others(z, t).max() - z[t]),
    (losses.Margin(confidence=0.5), lambda z, y, t: (_others(z, t).max() - z[t]).clamp(min=-0.5)),
    (losses.LogMargin(), lambda z, y, t: (_others(z.softmax(0), t).max() / z.softmax(0)[t]).log()),
    (losses.Logit(), lambda z, y, t: -z[t]),
    (losses.MultiTargetLogit(confidence=1.0), lambda z, y, t: (_others(z, t).max() - z[t]).clamp(min=-1)),
    (losses.TargetedDLR(), _targeted_dlr),
]


def _view(logits: Tensor, labels: Tensor, targets: Tensor | None = None, **parts: Tensor) -> View:
    return View(
        PlainModel(nn.Identity(), 5),
        wrap(logits),
        wrap(logits),
        wrap(labels),
        None if targets is None else wrap(targets),
        wrap(torch.arange(len(logits))),
        {name: wrap(part) for name, part in parts.items()},
    )


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 1.0, 30.0]))
def test_losses_match_their_formulas(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(6, 5, generator=generator, dtype=torch.float64) * scale - 3 * scale  # mostly negative logits
    y = torch.randint(5, (6,), generator=generator)
    t = (y + 1 + torch.randint(4, (6,), generator=generator)) % 5
    for loss, formula in UNTARGETED:
        expected = torch.stack([formula(z[i], int(y[i])) for i in range(6)])
        torch.testing.assert_close(raw(loss(_view(z, y))), expected)
    for loss, targeted in TARGETED:
        expected = torch.stack([targeted(z[i], int(y[i]), int(t[i])) for i in range(6)])
        torch.testing.assert_close(raw(loss(_view(z, y, t))), expected)


@pytest.mark.parametrize("loss", [loss for loss, _ in UNTARGETED], ids=repr)
def test_losses_are_differentiable(loss: Loss) -> None:
    z = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: raw(loss(_view(v, torch.tensor([0, 1, 2])))), z)


class _Probabilities(PlainModel):
    outputs = "probabilities"


def test_log_margin_takes_the_logarithm_of_probabilities() -> None:
    """With a floor: a model that is certain gives a large margin, not an infinite one."""
    p, y = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]], dtype=torch.float64), torch.tensor([1, 0])
    view = replace(_view(p, y), model=_Probabilities(nn.Identity(), 3))
    expected = torch.tensor([0.5 / 0.3, 1e30], dtype=torch.float64).log()
    torch.testing.assert_close(raw(losses.LogMargin()(view)), expected)


def test_matching_losses_are_squared_distances() -> None:
    z, y, t = torch.randn(4, 5), torch.tensor([0, 1, 2, 3]), torch.tensor([1, 2, 3, 4])
    references, features, centres = torch.randn(4, 5), torch.randn(4, 2, 3), torch.randn(5, 2, 3)
    matched = losses.LogitMatching(references)(_view(z, y))
    torch.testing.assert_close(raw(matched), (z - references).square().sum(1))
    wanted = torch.randn(4, 2, 3)
    found = losses.FeatureMatching("body", wanted)(_view(z, y, body=features))
    torch.testing.assert_close(raw(found), (features - wanted).square().sum((1, 2)))
    towards = losses.CentreDistance(centres)(_view(z, y, t, features=features))
    torch.testing.assert_close(raw(towards), (features - centres[t]).square().sum((1, 2)))
    away = losses.CentreDistance(centres)(_view(z, y, features=features))
    torch.testing.assert_close(raw(away), -(features - centres[y]).square().sum((1, 2)))


def test_logits_may_be_matched_by_class() -> None:
    z, y, t = torch.randn(3, 5), torch.tensor([0, 1, 2]), torch.tensor([4, 2, 0])
    loss = losses.LogitMatching(references := torch.randn(5, 5), by="class")
    torch.testing.assert_close(raw(loss(_view(z, y))), (z - references[y]).square().sum(1))
    torch.testing.assert_close(raw(loss(_view(z, y, t))), (z - references[t]).square().sum(1))
    with pytest.raises(InvalidInput, match="by 'row'"):
        losses.LogitMatching(references, by="row")  # type: ignore[arg-type]


def test_references_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(InvalidInput, match="references give"):
        losses.LogitMatching(torch.randn(4, 7))(_view(torch.randn(4, 5), torch.zeros(4).long()))


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(x)))  # type: ignore[no-any-return]


def _objective(loss: Loss) -> tuple[Objective, _Net]:
    net = _Net()
    counter = QueryCounter(2, torch.device("cpu"))
    labels = torch.tensor([0, 1])
    gateway = Gateway(PlainModel(net, 2), torch.zeros(1), max_rows=8)
    return Objective(gateway, loss, labels, None, torch.arange(2), counter), net


def test_a_named_part_is_captured_in_the_same_forward_pass() -> None:
    calls = []
    loss = losses.ActivationLoss("module.body", lambda part, view: part.sum(axis=1))
    objective, net = _objective(loss)
    net.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(2, 4)
    value, logits = objective(x)
    torch.testing.assert_close(value, net.body(x).sum(1))
    torch.testing.assert_close(logits, net(x))
    assert len(calls) == 2, "one by the objective, one by this test"
    assert objective.counter.forwards.tolist() == [1, 1]
    assert not net.body._forward_hooks, "the hook is taken off again"


def test_what_goes_into_a_module_is_a_part_too() -> None:
    loss = losses.ActivationLoss("module.head:input", lambda part, view: part.sum(axis=1))
    objective, net = _objective(loss)
    x = torch.randn(2, 4)
    torch.testing.assert_close(objective(x)[0], torch.relu(net.body(x)).sum(1))
    assert not net.head._forward_pre_hooks, "the hook is taken off again"


def test_an_unknown_part_is_refused() -> None:
    objective, _ = _objective(losses.ActivationLoss("nowhere", lambda part, view: part.sum(axis=1)))
    with pytest.raises(InvalidInput, match="nowhere"):
        objective(torch.randn(2, 4))
