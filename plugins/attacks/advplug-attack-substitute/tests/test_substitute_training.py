"""What the substitute is trained on: decisions alone, of the attacker's own images and of those made from them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_fgm import FGM
from advplug_attack_substitute._substitute import Substitute, towards
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug import Images, ThreatModel, run
from advplug.api import AttackResult
from advplug.errors import InvalidInput, UnknownPlugin
from advplug.testing.linear import linear_model

LINF = ThreatModel("linf", 0.2)
SMALL: dict[str, Any] = {"num_images": 40, "augmentations": 2, "epochs": 10, "learning_rate": 0.01}
CLASSES, SIZE = 3, 20


class Answers(nn.Module):
    """What ``net`` decides, and nothing else: no scores, no gradient."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot(self.net(x).argmax(1), CLASSES).to(x)


class Asked(nn.Module):
    """Remembers every input of ``net``."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.inputs.append(x.detach().clone())
        logits: Tensor = self.net(x)
        return logits


def case(bounds: tuple[float, float] = (0.0, 1.0)) -> tuple[nn.Module, Tensor, Tensor, Images]:
    """A linear model around the middle of the bounds, inputs, labels, and the attacker's images."""
    low, high = bounds
    net = nn.Sequential(Centred((low + high) / 2), linear_model(CLASSES, (SIZE,), seed=3))
    share = torch.rand(100, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = low + (high - low) * share
    y = net(x).argmax(1).detach()
    return net, x[:20], y[:20], Images(x[20:], y[20:])


class Centred(nn.Module):
    def __init__(self, middle: float) -> None:
        super().__init__()
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        return x - self.middle


def attacked(net: nn.Module, own: Images | None = None, threat: ThreatModel = LINF, **options: Any) -> AttackResult:
    _, x, y, images = case(threat.bounds)
    return run(Substitute(**{**SMALL, **options}), net, x, y, threat, auxiliary=own or images)


def test_decisions_are_all_it_needs() -> None:
    net, *_ = case()
    with_scores, without = attacked(net), attacked(Answers(net))
    assert with_scores.success.any()
    assert torch.equal(with_scores.adversarials, without.adversarials)


def test_it_beats_noise_by_far() -> None:
    net, x, y, _ = case()
    noise = x + 0.2 * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) - 1)
    lucky = (net(noise.clamp(0, 1)).argmax(1) != y).double().mean()
    assert attacked(net).success.double().mean() > lucky + 0.3


def test_the_labels_of_the_images_are_not_used() -> None:
    net, _, _, own = case()
    shuffled = Images(own.inputs, own.labels.flip(0))
    assert torch.equal(attacked(net).adversarials, attacked(net, shuffled).adversarials)


def test_queries_double_with_every_augmentation_and_are_shared() -> None:
    net, x, _, _ = case()
    for augmentations in (0, 1, 3):
        result = attacked(net, augmentations=augmentations)
        assert result.forwards.tolist() == [1 + 40 * 2**augmentations // len(x)] * len(x)


def test_new_images_are_a_step_away_and_within_the_bounds() -> None:
    net, _, _, own = case((-1.0, 3.0))
    asked = Asked(net)
    attacked(asked, threat=ThreatModel("linf", 0.8, (-1.0, 3.0)))
    first = next(number for number, x in enumerate(asked.inputs) if torch.equal(x, own.inputs[:40]))
    old, new = asked.inputs[first], asked.inputs[first + 1]
    assert new.min() >= -1
    assert new.max() <= 3
    inside = (new > -1) & (new < 3)
    torch.testing.assert_close((new - old).abs()[inside], torch.full_like(new[inside], 0.4))
    assert ((new - old).abs() <= 0.4 + 1e-9).all()


def test_the_direction_survives_saturation() -> None:
    """Of a probability that rounds to 1 the gradient is zero, of its odds it is not."""
    net = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[90.0, -90.0, 90.0, -90.0], [-90.0, 90.0, -90.0, 90.0]]))
    x = torch.tensor([[1.0, 0.3, 1.0, 0.4]], requires_grad=True)
    sure = net(x).softmax(1)[0, 0]
    assert sure == 1
    assert not torch.autograd.grad(sure, x)[0].any()
    assert towards(net, x, torch.tensor([0])).tolist() == [[1, -1, 1, -1]]


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_a_small_step_raises_the_probability(seed: int) -> None:
    net = linear_model(4, (6,), seed=seed)
    x = torch.rand(300, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)  # more than AT_ONCE
    y = torch.randint(4, (300,), generator=torch.Generator().manual_seed(seed))
    before, after = (net(point).log_softmax(1).gather(1, y[:, None]) for point in (x, x + 1e-4 * towards(net, x, y)))
    assert (after >= before).all()


def test_a_model_that_always_answers_the_same_stands() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([1.0, 0.0, 0.0], dtype=x.dtype).expand(len(x), 3)

    _, x, _, own = case()
    result = run(Substitute(**SMALL), Constant(), x, torch.zeros(20, dtype=torch.int64), LINF, auxiliary=own)
    assert not result.success.any()
    assert torch.equal(result.adversarials, x)


def test_each_sample_reaches_its_own_target_within_its_own_budget() -> None:
    net, x, y, own = case()
    epsilon = torch.linspace(0.05, 0.6, len(x), dtype=torch.float64)
    threat, targets = ThreatModel("linf", 0.6, targeted=True), (y + 1) % CLASSES
    result = run(Substitute(**SMALL), net, x, y, threat, targets=targets, epsilon=epsilon, auxiliary=own)
    assert result.success[10:].float().mean() > 0.5
    assert (net(result.adversarials).argmax(1) == targets)[result.success].all()
    assert (result.distance <= epsilon * (1 + 1e-6))[result.success].all()


def test_other_bounds_give_the_same_attack_in_other_units() -> None:
    narrow = attacked(case()[0])
    wide = attacked(case((-1.0, 3.0))[0], threat=ThreatModel("linf", 0.8, (-1.0, 3.0)))
    assert torch.equal(narrow.success, wide.success)
    torch.testing.assert_close(4 * narrow.adversarials - 1, wide.adversarials, rtol=0, atol=1e-5)


def test_the_inner_attack_is_an_object_or_a_name_with_settings() -> None:
    net, *_ = case()
    named = attacked(net, attack="fgm", settings={"steps": 5})
    made = attacked(net, attack=FGM(steps=5))
    assert torch.equal(named.adversarials, made.adversarials)
    assert not torch.equal(named.adversarials, attacked(net).adversarials)
    assert Substitute(attack=FGM(steps=5)).planned_steps == 5


def test_a_network_of_the_users_own() -> None:
    seen: list[tuple[tuple[int, ...], int]] = []

    def linear(shape: tuple[int, ...], classes: int) -> nn.Module:
        seen.append((shape, classes))
        return nn.Linear(shape[0], classes)

    assert attacked(case()[0], network=linear).success.any()
    assert seen == [((SIZE,), CLASSES)]


def test_training_reports_progress() -> None:
    net, x, y, own = case()
    seen: list[tuple[int, int]] = []
    attack = Substitute(**SMALL)
    run(attack, net, x, y, LINF, auxiliary=own, progress=lambda done, total, _: seen.append((done, total)))
    assert seen.count((10, 10)) == 3  # once for each training
    assert seen[-1] == (1, 1)


def test_images_are_needed() -> None:
    net, x, y, own = case()
    with pytest.raises(InvalidInput, match="pass auxiliary"):
        run(Substitute(), net, x, y, LINF)
    with pytest.raises(InvalidInput, match="too few to train on"):
        run(Substitute(augmentations=0), net, x, y, LINF, auxiliary=own[:1])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"num_images": 1}, "num_images is 1: give at least 2"),
        ({"augmentations": -1}, "augmentations is -1: give at least 0"),
        ({"epochs": 0}, "at least 1"),
        ({"batch_size": 0}, "batch_size is 0: give at least 1"),
        ({"augmentation_step_size": 0.0}, "positive"),
        ({"learning_rate": float("inf")}, "positive"),
        ({"attack": FGM(), "settings": {"steps": 3}}, "given by name"),
        ({"attack": "fgm", "settings": {"stepps": 3}}, "stepps"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        Substitute(**options)


def test_an_unknown_attack_is_named() -> None:
    with pytest.raises(UnknownPlugin, match="fgn"):
        Substitute(attack="fgn")
