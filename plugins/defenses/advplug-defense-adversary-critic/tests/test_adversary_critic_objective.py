"""The game of classifier and critic: each term against its formula, and who learns from what."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from advplug_attack_high_confidence import closest_targets, unrolled
from advplug_defense_adversary_critic import AdversaryCritic, Critic
from advplug_defense_adversary_critic._objective import AgainstCritic
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.errors import AdvplugError
from advplug.testing.linear import linear_model
from advplug.training import Batch, TrainingConfig, fit, seeded

SHAPE, CLASSES = (1, 3, 4), 3


def linear_critic() -> nn.Module:
    return linear_model(CLASSES, SHAPE, seed=5)


def network() -> nn.Module:
    """Sure of its answers, so that an attack that reaches the same confidence succeeds."""
    model = seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, CLASSES))).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def batch(count: int = 9) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)
    return Batch(x, torch.arange(count) % CLASSES, None, generator)


def game(**settings: Any) -> AgainstCritic:
    return AdversaryCritic(**({"critic": linear_critic, "classes": CLASSES} | settings)).begin().double()


def seen(one: AgainstCritic, model: nn.Module, given: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the game works with in its first step: clean logits, attacked images, found classes, confidences."""
    logits = model(given.x)
    sure, predicted = logits.detach().softmax(1).max(1)
    one.follow(sure, predicted)
    targets = closest_targets(model, given.x)
    attacked = unrolled(model, given.x, targets, one.confidence[targets])[0]
    return logits, attacked, model(attacked).argmax(1).detach(), sure


def test_the_running_means_follow_the_confidence_in_each_predicted_class() -> None:
    one = game(decay=0.25)
    one.follow(torch.tensor([0.8, 0.6, 0.9]).double(), torch.tensor([0, 0, 2]))
    start = 1 / CLASSES
    assert one.confidence.tolist() == pytest.approx([start / 4 + 0.7 * 0.75, start, start / 4 + 0.9 * 0.75])


def test_the_critic_learns_to_tell_real_images_from_attacked_ones() -> None:
    given, one = batch(), game(slope=0)
    attacked, found = 1 - given.x, (given.y + 1) % CLASSES
    layer = one.critic[1]  # type: ignore[index]
    weights, bias = layer.weight.detach().clone(), layer.bias.detach().clone()

    def entropy() -> Tensor:
        real = F.linear(given.x.flatten(1), weights, bias).take_along_dim(given.y[:, None], 1)
        fake = F.linear(attacked.flatten(1), weights, bias).take_along_dim(found[:, None], 1)
        loss = F.binary_cross_entropy_with_logits
        return loss(real, torch.ones_like(real)) + loss(fake, torch.zeros_like(fake))

    weights.requires_grad_()
    (expected,) = torch.autograd.grad(entropy(), weights)
    one.teach(given.x, given.y, attacked, found)
    torch.testing.assert_close(layer.weight.grad, expected)
    assert not torch.equal(layer.weight, weights)


def test_the_slope_of_the_critic_is_drawn_to_one() -> None:
    given, one = batch(), game(slope=10, learning_rate=0.05)
    layer = one.critic[1]  # type: ignore[index]
    for _ in range(200):
        one.teach(given.x, given.y, given.x, given.y)  # real and attacked images alike: the slope alone counts
    assert layer.weight.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=0.05)


def test_the_loss_is_the_sum_of_its_terms() -> None:
    given, model = batch(), network()
    one, same = game(weight=0.7, cycle=0.3, decay=0), game(weight=0.7, cycle=0.3, decay=0)
    logits, attacked, found, sure = seen(same, model, given)
    same.teach(given.x, given.y, attacked.detach(), found)
    predicted = logits.argmax(1)
    back = unrolled(model, attacked.detach(), predicted, sure)[0]
    doubts, distances = [], []
    for sample in range(len(given.y)):
        if found[sample] != predicted[sample]:
            real = same.critic(attacked)[sample, found[sample]].sigmoid().item()
            doubts.append(-math.log(real))
            distances.append((given.x - back)[sample].square().sum().item())
    assert len(doubts) >= 2
    expected = F.cross_entropy(logits, given.y).item()
    expected += 0.7 * sum(doubts) / len(doubts) + 0.3 * sum(distances) / len(distances)
    loss, said = one(model, given)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert torch.equal(said, logits)


def test_the_model_learns_through_the_attack_and_not_through_the_critics_weights() -> None:
    given, model, one = batch(), network(), game(cycle=0, decay=0)
    loss, logits = one(model, given)
    before = [parameter.grad.clone() for parameter in one.critic.parameters()]
    through = torch.autograd.grad(loss - F.cross_entropy(logits, given.y), list(model.parameters()), retain_graph=True)
    assert all(part.isfinite().all() for part in through)
    assert max(float(part.abs().max()) for part in through) > 1e-4
    loss.backward()
    for parameter, gradient in zip(one.critic.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_where_no_attack_succeeds_cross_entropy_is_left() -> None:
    given, model = batch(), linear_model(CLASSES, SHAPE)
    model[1].weight.data.zero_()  # type: ignore[index]
    model[1].bias.data.copy_(torch.tensor([5.0, 0.0, 0.0]))  # type: ignore[index]
    loss, logits = game()(model, given)
    torch.testing.assert_close(loss, F.cross_entropy(logits, given.y))
    loss.backward()
    assert model[1].bias.grad.isfinite().all()  # type: ignore[index]


def test_the_noise_of_the_critic_is_for_training_alone() -> None:
    critic, x = seeded(0, lambda: Critic(12, CLASSES, 16)), batch().x.float()
    assert not torch.equal(critic(x), critic(x))
    assert torch.equal(critic.eval()(x), critic(x))
    assert critic(x).shape == (9, CLASSES)


def test_it_trains_any_network() -> None:
    x = torch.rand(120, *SHAPE, generator=torch.Generator().manual_seed(0))
    y = x.mean((1, 3)).argmax(1)  # the brightest of three rows
    model = seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, CLASSES)))
    loss = AdversaryCritic(critic=partial(Critic, 12, CLASSES, 16), classes=CLASSES)
    config = TrainingConfig(epochs=12, learning_rate=0.02, batch_size=20, optimiser="adam", loss=loss)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fit(model, (x, y), config)
    with torch.no_grad():
        assert (model(x).argmax(1) == y).float().mean() >= 0.7


@pytest.mark.parametrize("settings", [{"weight": -1}, {"steps": 0}, {"classes": 0}, {"learning_rate": 0}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(AdvplugError):
        game(**settings)
