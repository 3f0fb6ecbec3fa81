"""The training losses against their formulas written out entry by entry."""

from __future__ import annotations

import math

import pytest
import torch
from advplug_defense_logit_pairing._losses import MixedBatch, Penalised, clean_pairing, squeezing
from torch import Tensor, nn

from advplug.training import Batch, TrainingLoss


class Remembering(nn.Module):
    """A linear network that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 3)
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x)
        logits: Tensor = self.linear(x.flatten(1))
        return logits


@pytest.fixture
def model() -> Remembering:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Remembering()


def batch(count: int = 5, *, adversarial: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, 3, 2, 2, generator=generator)
    return Batch(x, torch.arange(count) % 3, 1 - x if adversarial else None, generator)


def entropy(logits: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy."""
    found = [math.log(sum(math.exp(z) for z in row)) - row[y] for row, y in zip(logits.tolist(), labels, strict=True)]
    return sum(found) / len(found)


def test_clean_pairing_draws_the_halves_of_the_batch_together(model: Remembering) -> None:
    given = batch(5)
    loss, logits = Penalised(clean_pairing, weight=0.5, noise=0.1)(model, given)
    z = logits.tolist()
    squares = [(a - b) ** 2 for first, second in ((0, 2), (1, 3)) for a, b in zip(z[first], z[second], strict=True)]
    expected = entropy(logits, given.y) + 0.5 * sum(squares) / len(squares)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_squeezing_adds_the_mean_length_of_the_logits(model: Remembering) -> None:
    given = batch()
    loss, logits = Penalised(squeezing, weight=0.25, noise=0.1)(model, given)
    lengths = [math.sqrt(sum(z * z for z in row)) for row in logits.tolist()]
    assert loss.item() == pytest.approx(entropy(logits, given.y) + 0.25 * sum(lengths) / len(lengths), rel=1e-5)


def test_adversarial_pairing_draws_each_image_and_its_adversarial_one_together(model: Remembering) -> None:
    given = batch(adversarial=True)
    assert given.adversarial is not None
    loss, logits = MixedBatch(weight=2.0)(model, given)
    clean, adversarial = model(given.x).detach(), model(given.adversarial).detach()
    torch.testing.assert_close(logits, adversarial)
    difference = [
        (a - b) ** 2 for one, other in zip(clean, adversarial, strict=True) for a, b in zip(one, other, strict=True)
    ]
    halves = 0.5 * entropy(clean, given.y) + 0.5 * entropy(adversarial, given.y)
    assert loss.item() == pytest.approx(halves + 2 * float(sum(difference)) / len(difference), rel=1e-5)


@pytest.mark.parametrize(
    "objective", [Penalised(clean_pairing, weight=0.5, noise=0.5), Penalised(squeezing, weight=0.5, noise=0.5)]
)
def test_clean_losses_see_noisy_images_within_the_box(objective: TrainingLoss, model: Remembering) -> None:
    given = batch(200)
    objective(model, given)
    (shown,) = model.shown
    assert 0 <= shown.min() < shown.max() <= 1
    middle = (given.x - 0.5).abs() < 0.05  # where the box cuts noise of half its width evenly
    assert 0.3 < (shown - given.x)[middle].std() < 0.5
    assert (shown - given.x)[middle].mean().abs() < 0.05
