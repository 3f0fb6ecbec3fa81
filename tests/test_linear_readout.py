"""Losses on scores read off a part of the model, where the logits have no gradient."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.families import LinearReadout
from advplug.losses import CrossEntropy, Loss, Margin, TargetedDLR
from advplug.model import DefendedModel
from advplug.testing.linear import linear_model

LINF = ThreatModel("linf", 0.15)


class Saturated(DefendedModel):
    """A linear model whose scores go through a step function: right, and without a gradient."""

    def __init__(self) -> None:
        super().__init__(3)
        self.hidden = nn.Linear(10, 10, bias=False)
        self.last = nn.Module()
        self.last.weight = nn.Parameter(linear_model(3, (10,)).float()[-1].weight.detach().clone())
        self.register_buffer("shapeless", torch.zeros(2, 2))
        with torch.no_grad():
            self.hidden.weight.copy_(torch.eye(10))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.hidden(x) @ self.last.weight.T
        return (50 * (scores - scores.amax(1, keepdim=True))).exp().round()


def images(model: DefendedModel) -> tuple[Tensor, Tensor]:
    x = torch.rand(60, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return x, model(x).argmax(1)


@pytest.mark.parametrize("of", [Margin(), CrossEntropy()])
def test_it_finds_what_the_logits_hide(of: Loss) -> None:
    model = Saturated()
    x, y = images(model)
    pgd = PGD(steps=20, random_start=False)
    hidden = run(pgd, model, x, y, LINF, loss=of)
    seen = run(pgd, model, x, y, LINF, loss=LinearReadout("hidden", "last.weight", of))
    assert hidden.robust_accuracy == 1
    assert seen.robust_accuracy < 0.6
    with torch.no_grad():
        fooled = model(seen.adversarials).argmax(1) != y
    assert torch.equal(fooled, seen.success)  # judged by the model as it is


def test_it_asks_for_what_the_inner_loss_needs() -> None:
    loss = LinearReadout("hidden", "last.weight", LinearReadout("deeper", "code", TargetedDLR()))
    assert loss.layers == ("hidden", "deeper")
    assert loss.needs_targets
    assert loss.min_classes == 4
    assert (
        repr(LinearReadout("bits", "code")) == "LinearReadout(layer='bits', matrix='code', of=Margin(confidence=inf))"
    )


@pytest.mark.parametrize(("matrix", "message"), [("nowhere", "none of that name"), ("shapeless", r"takes \(3, 10\)")])
def test_a_matrix_that_does_not_fit_is_refused(matrix: str, message: str) -> None:
    model = Saturated()
    x, y = images(model)
    with pytest.raises(InvalidInput, match=message):
        run(PGD(steps=2), model, x, y, LINF, loss=LinearReadout("hidden", matrix))
