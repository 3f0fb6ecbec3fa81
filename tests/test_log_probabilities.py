"""Losses at the logarithm of probabilities, alone and with gradients through a surrogate."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from advplug.engine.problem import make_problem
from advplug.engine.query_counter import QueryCounter
from advplug.families import AtLogProbabilities, LinearReadout
from advplug.gradients import BPDA
from advplug.losses import CrossEntropy, Loss, Margin, TargetedDLR, View
from advplug.model import DefendedModel, PlainModel
from advplug.numerics.random_numbers import Noise
from advplug.numerics.tensors import raw, wrap
from advplug.threat import ThreatModel

LABELS, TARGETS = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 2])


class Voting(DefendedModel):
    """One of two linear networks, whichever is more certain; the surrogate is the mean of both."""

    outputs = "probabilities"

    def __init__(self) -> None:
        super().__init__(3)
        generator = torch.Generator().manual_seed(0)
        self.first, self.second = (torch.randn(5, 3, generator=generator) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        both = self._both(x)
        return torch.where((both[0] > both[1]).amax(1, keepdim=True), *both)

    def surrogate(self, x: Tensor) -> Tensor:
        return self._both(x).mean(0)

    def _both(self, x: Tensor) -> Tensor:
        return torch.stack([(x @ weights).softmax(1) for weights in (self.first, self.second)])


def _view(model: DefendedModel, scores: Tensor, targets: Tensor | None) -> View:
    goal = None if targets is None else wrap(targets)
    return View(model, wrap(scores), wrap(scores), wrap(LABELS), goal, wrap(torch.arange(4)), {})


@pytest.mark.parametrize("targets", [None, TARGETS])
@pytest.mark.parametrize("of", [CrossEntropy(), Margin(), Margin(0.5)])
def test_probabilities_and_their_logits_have_one_loss(of: Loss, targets: Tensor | None) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).double()
    expected = raw(of(_view(PlainModel(nn.Identity(), 3), logits, targets)))
    for model, scores in ((Voting(), logits.softmax(1)), (PlainModel(nn.Identity(), 3), logits)):
        torch.testing.assert_close(raw(AtLogProbabilities(of)(_view(model, scores, targets))), expected)


def test_a_probability_of_zero_has_a_finite_loss_and_gradient() -> None:
    scores = torch.eye(3)[[1, 1, 2, 0]].requires_grad_()
    loss = raw(AtLogProbabilities()(_view(Voting(), scores, None)))
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


def test_it_needs_what_the_inner_loss_needs() -> None:
    assert AtLogProbabilities(TargetedDLR()).needs_targets
    assert AtLogProbabilities(TargetedDLR()).min_classes == 4
    assert AtLogProbabilities(LinearReadout("bits", "code")).layers == ("bits",)
    rows = torch.arange(2)
    assert AtLogProbabilities(Margin(3)).at(rows, 2) == AtLogProbabilities(Margin(3))


def test_through_a_surrogate_it_follows_the_log_of_the_mean_probability() -> None:
    model, x = Voting(), torch.rand(4, 5, generator=torch.Generator().manual_seed(2))
    problem = make_problem(model, x, LABELS, ThreatModel("linf", 0.1))
    rows = torch.arange(4)
    with problem.gateway() as gateway:
        objective = problem.objective(gateway, AtLogProbabilities(), QueryCounter(4, x.device), rows, None)
        found = BPDA()(objective, x, Noise.of(0, rows, 0), 0)
    point = x.clone().requires_grad_()
    wanted = model.surrogate(point).gather(1, LABELS[:, None]).log().sum()
    (expected,) = torch.autograd.grad(wanted, point)
    torch.testing.assert_close(found.loss, model(x).gather(1, LABELS[:, None]).squeeze(1).log())
    directions = [nn.functional.normalize(gradient) for gradient in (found.gradient, expected)]
    torch.testing.assert_close(*directions, rtol=1e-4, atol=1e-5)
