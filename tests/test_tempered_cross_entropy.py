"""The cross-entropy of logits over a temperature."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from advplug import losses
from advplug.errors import InvalidInput
from advplug.losses import Loss, View
from advplug.model import PlainModel
from advplug.numerics.tensors import raw, wrap

LOGITS = torch.tensor([[0.0, -200.0, -300.0], [-250.0, 0.0, -150.0]])
CLASSES = torch.tensor([0, 1])


def _value(loss: Loss, logits: torch.Tensor, *, targeted: bool = False) -> torch.Tensor:
    targets = wrap(CLASSES) if targeted else None
    rows = wrap(torch.arange(2))
    return raw(
        loss(
            View(PlainModel(nn.Identity(), 3), wrap(logits), wrap(logits), wrap(CLASSES), targets, rows, activations={})
        )
    )


@pytest.mark.parametrize("targeted", [False, True])
def test_is_the_cross_entropy_of_smaller_logits(targeted: bool) -> None:
    found = _value(losses.TemperedCrossEntropy(25.0), LOGITS, targeted=targeted)
    torch.testing.assert_close(found, _value(losses.CrossEntropy(), LOGITS / 25, targeted=targeted))


def test_has_a_gradient_where_the_softmax_saturates() -> None:
    gradients = []
    for loss in (losses.CrossEntropy(), losses.TemperedCrossEntropy()):
        logits = LOGITS.clone().requires_grad_()
        gradients.append(torch.autograd.grad(_value(loss, logits).sum(), logits)[0])
    assert not gradients[0].any()
    assert gradients[1].ne(0).all()


def test_refuses_a_temperature_of_zero() -> None:
    with pytest.raises(InvalidInput, match="positive"):
        losses.TemperedCrossEntropy(0)
