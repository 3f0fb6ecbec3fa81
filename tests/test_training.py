"""Training: what its adversary may do, what it reports, and that the seed fixes the rest."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug.data import Images
from advplug.defense import Preset
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import PROBES, Adversary, Batch, Configuration, ConfiguredDefense, TrainingConfig, fit, seeded
from advplug.training.config import Optimiser

NORMS = ["linf", "l2"]
examples = settings(max_examples=40)


def net() -> nn.Module:
    return seeded(
        0,
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)),
    )


def bright_halves(count: int) -> Images:
    """Noise whose left (label 0) or right half (label 1) is brighter."""
    generator = torch.Generator().manual_seed(0)
    inputs = 0.5 * torch.rand(count, 1, 8, 8, generator=generator)
    labels = torch.arange(count) % 2
    inputs[labels == 0, :, :, :4] += 0.4
    inputs[labels == 1, :, :, 4:] += 0.4
    return Images(inputs, labels, ("left", "right"), "halves")


def trained(recipe: TrainingConfig, data: Images, seed: int = 0) -> tuple[nn.Module, list[dict[str, float]]]:
    model = net()
    seen: list[dict[str, float]] = []
    fit(model, data, recipe, seed=seed, device="cpu", on_epoch=lambda _, __, values: seen.append(dict(values)))
    return model, seen


def saturated(seed: int, count: int) -> Tensor:
    """Images with many pixels at the ends of the range, where the box cuts into the ball."""
    x = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (2 * x - 0.5).clamp(0, 1)


def size(delta: Tensor, norm: str) -> Tensor:
    return torch.linalg.vector_norm(delta.flatten(1).double(), math.inf if norm == "linf" else 2, dim=1)


@examples
@given(st.integers(0, 1000), st.sampled_from(NORMS), st.floats(0.01, 6), st.floats(0.01, 6), st.integers(0, 3))
def test_adversary_stays_in_ball_and_box(seed: int, norm: Any, epsilon: float, step: float, steps: int) -> None:
    x, y = saturated(seed, 5), torch.arange(5) % 2
    model = net().eval()
    adversary = Adversary(norm=norm, epsilon=epsilon, step_size=step, steps=steps)
    attacked = adversary(model, x, y, torch.Generator().manual_seed(seed))
    assert attacked.shape == x.shape
    assert attacked.dtype == x.dtype
    assert not attacked.requires_grad
    assert bool(((attacked >= 0) & (attacked <= 1)).all())
    # The difference of two float32 numbers near 1 is off by 6e-8, and there are 64 of them.
    assert bool((size(attacked - x, norm) <= epsilon * (1 + 1e-6) + 1e-6).all())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("norm", NORMS)
def test_without_clipping_the_ball_alone_binds(norm: Any) -> None:
    x, y = saturated(0, 8), torch.arange(8) % 2
    adversary = Adversary(norm=norm, epsilon=2.0, step_size=1.0, steps=5, clip=False)
    attacked = adversary(net().eval(), x, y, torch.Generator().manual_seed(0))
    assert size(attacked - x, norm).tolist() == pytest.approx([2.0] * 8, abs=1e-5)
    assert attacked.min() < 0
    assert attacked.max() > 1


@pytest.mark.parametrize("norm", NORMS)
def test_steps_reach_the_worst_point_of_a_linear_model(norm: Any) -> None:
    weights = torch.linspace(-1, 1, 64).reshape(1, 64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.cat((weights, -weights)))
    x, y = torch.full((3, 1, 8, 8), 0.5), torch.zeros(3, dtype=torch.int64)
    attacked = Adversary(norm=norm, epsilon=0.4, step_size=0.1, steps=60)(model, x, y, torch.Generator().manual_seed(0))
    worst = -0.4 * (weights.sign() if norm == "linf" else weights / weights.norm())
    torch.testing.assert_close((attacked - x).flatten(1), worst.expand(3, -1), atol=1e-4, rtol=0)


def test_l2_start_has_every_direction_and_length() -> None:
    x = torch.full((2000, 1, 8, 8), 0.5)
    start = Adversary(norm="l2", epsilon=0.4, step_size=0.1, steps=0)(
        net(), x, torch.zeros(2000, dtype=torch.int64), torch.Generator().manual_seed(0)
    )
    delta = (start - x).flatten(1)
    lengths = delta.norm(dim=1)
    assert lengths.mean().item() == pytest.approx(0.2, abs=0.01)
    assert lengths.max() <= 0.4 + 1e-6
    assert (delta / lengths[:, None]).mean(0).norm() < 0.06  # 1 / sqrt(2000) is 0.022


def test_l2_steps_are_as_long_where_the_network_is_sure() -> None:
    class Sure(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            rival = x.flatten(1).sum(1)
            return torch.stack((rival, torch.full_like(rival, 60)), 1)

    x, y = torch.full((2, 1, 8, 8), 0.1), torch.ones(2, dtype=torch.int64)
    # The gradient is 1e-26 in every pixel: its square is zero in float32.
    attacked = Adversary(norm="l2", epsilon=0.4, step_size=0.4, steps=30)(
        Sure(), x, y, torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(attacked - x, torch.full_like(x, 0.4 / 8), atol=1e-4, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_adversarial_training_learns_and_reports_pgd(norm: Any) -> None:
    adversary = Adversary(norm=norm, epsilon=0.05, step_size=0.05, steps=1)
    model, seen = trained(
        TrainingConfig(epochs=4, learning_rate=0.05, batch_size=64, adversary=adversary), bright_halves(3 * PROBES)
    )
    assert [set(values) for values in seen] == [{"loss", "accuracy", "pgd"}] * 4
    assert seen[-1]["loss"] < seen[0]["loss"]
    assert seen[-1]["pgd"] > 0.9
    assert not model.training


@pytest.mark.parametrize("optimiser", get_args(Optimiser))
def test_plain_training_learns_and_the_seed_fixes_it(optimiser: Any) -> None:
    recipe, data = TrainingConfig(epochs=3, learning_rate=0.02, batch_size=32, optimiser=optimiser), bright_halves(300)
    state = torch.get_rng_state()
    first, seen = trained(recipe, data)
    assert torch.equal(torch.get_rng_state(), state)
    assert seen[-1]["accuracy"] > 0.95
    assert set(seen[0]) == {"loss", "accuracy"}
    again, other = trained(recipe, data)[0], trained(recipe, data, seed=1)[0]
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(first.state_dict()["0.weight"], other.state_dict()["0.weight"])


def test_the_seed_fixes_dropout() -> None:
    """Masks were once drawn from whatever state the caller had left torch's generator in."""
    recipe, data = TrainingConfig(epochs=2, learning_rate=0.02), bright_halves(100)
    weights = []
    for before in (1, 2):
        model = seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 2)))
        torch.manual_seed(before)
        state = torch.get_rng_state()
        fit(model, data, recipe)
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(model[2].weight)
    assert torch.equal(*weights)


def test_optimisers_differ() -> None:
    data = bright_halves(100)
    first, *others = (
        trained(TrainingConfig(epochs=2, learning_rate=0.01, optimiser=name), data)[0].state_dict()["0.weight"]
        for name in get_args(Optimiser)
    )
    assert len(others) == 2
    assert not any(torch.equal(first, other) for other in others)
    assert not torch.equal(*others)


@pytest.mark.parametrize("optimiser", get_args(Optimiser))
def test_weight_decay_keeps_weights_small(optimiser: Any) -> None:
    data = bright_halves(100)
    sizes = [
        trained(TrainingConfig(epochs=10, learning_rate=0.05, optimiser=optimiser, weight_decay=decay), data)[0][0]
        .weight.norm()
        .item()
        for decay in (0.0, 1.0)
    ]
    assert sizes[1] < 0.9 * sizes[0]


def test_learning_rates() -> None:
    cosine = TrainingConfig(epochs=10, learning_rate=0.1)
    rates = [cosine.learning_rate_at(step, 20) for step in range(200)]
    assert max(rates) == pytest.approx(0.1)
    assert rates[0] < 0.01
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    drop = TrainingConfig(epochs=80, learning_rate=0.1, drop_at=50)
    assert (drop.learning_rate_at(49, 1), drop.learning_rate_at(50, 1)) == (0.1, pytest.approx(0.01))
    halved = TrainingConfig(epochs=80, learning_rate=0.4, drop_at=(10, 20), drop_by=2)
    assert [halved.learning_rate_at(step, 2) for step in (19, 20, 40)] == [0.4, 0.2, 0.1]
    constant = TrainingConfig(epochs=5, learning_rate=0.1, drop_at=5)
    assert {constant.learning_rate_at(step, 20) for step in range(100)} == {0.1}


def test_the_budget_ramps_up() -> None:
    adversary = Adversary(epsilon=0.4, step_size=0.1, steps=3, norm="l2")
    recipe = TrainingConfig(epochs=4, learning_rate=0.1, adversary=adversary, ramp=2)
    early, full = recipe.adversary_at(5, 10), recipe.adversary_at(20, 10)
    assert early == Adversary(epsilon=0.1, step_size=0.025, steps=3, norm="l2")
    assert full == adversary
    assert TrainingConfig(epochs=4, learning_rate=0.1, adversary=adversary).adversary_at(0, 10) == adversary
    assert TrainingConfig(epochs=4, learning_rate=0.1, ramp=2).adversary_at(0, 10) is None


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="linf and l2"):
        Adversary(norm="l1", epsilon=1.0, step_size=1.0, steps=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="sgd, nesterov, adam"):
        TrainingConfig(epochs=1, learning_rate=0.1, optimiser="rmsprop")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="too few"):
        trained(TrainingConfig(epochs=1, learning_rate=0.1), bright_halves(1))


@pytest.mark.parametrize("adversary", [None, Adversary(epsilon=0.1, step_size=0.1, steps=1)])
def test_a_recipe_may_have_another_objective(adversary: Adversary | None) -> None:
    seen: list[Batch] = []

    def squared_error(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        seen.append(batch)
        logits = model(batch.x)
        return (logits - nn.functional.one_hot(batch.y, 2)).square().mean(), logits

    data = bright_halves(64)
    model, reports = trained(
        TrainingConfig(epochs=6, learning_rate=0.1, batch_size=16, loss=squared_error, adversary=adversary), data
    )
    assert reports[-1]["accuracy"] > 0.9
    assert reports[-1]["loss"] < 0.3
    assert model(data.inputs).abs().max() < 3  # scores near 0 and 1, where cross-entropy lets them grow
    for batch in seen:
        if adversary is None:
            assert batch.adversarial is None
        else:
            assert batch.adversarial is not None
            assert 0 < size(batch.adversarial - batch.x, "linf").max() <= 0.1 + 1e-6


class Centred(DefendedModel):
    """A hidden layer of ``width``, on images less ``mean``."""

    mean: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(2)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 2))
        self.register_buffer("mean", torch.zeros(1, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x - self.mean)
        return logits


class Halves(ConfiguredDefense):
    presets = {  # noqa: RUF012
        name: Preset(summary="s", data="halves", threat=ThreatModel(), weights=None) for name in ("narrow", "wide")
    }
    configurations = {  # noqa: RUF012
        "narrow": Configuration(network=lambda: Centred(2), training=TrainingConfig(epochs=2, learning_rate=0.1)),
        "wide": Configuration(
            network=lambda: Centred(16), training=TrainingConfig(epochs=5, learning_rate=0.1, batch_size=16)
        ),
    }


class CentredHalves(Halves):
    def initial(self, preset: str, data: Images, seed: int) -> DefendedModel:
        model = super().initial(preset, data, seed)
        assert isinstance(model, Centred)
        model.mean.copy_(data.inputs.mean(0))
        return model


def made(defense: ConfiguredDefense, preset: str, seed: int = 0) -> tuple[DefendedModel, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    model = defense.train(
        preset,
        bright_halves(64),
        seed=seed,
        device="cpu",
        on_epoch=lambda epoch, epochs, _: seen.append((epoch, epochs)),
    )
    return model, seen


@pytest.mark.parametrize(("preset", "width", "epochs"), [("narrow", 2, 2), ("wide", 16, 5)])
def test_a_preset_has_its_own_network_and_recipe(preset: str, width: int, epochs: int) -> None:
    model, seen = made(Halves(), preset)
    assert model.state_dict()["layers.1.weight"].shape == (width, 64)
    assert seen == [(epoch, epochs) for epoch in range(1, epochs + 1)]
    assert not model.training


def test_the_seed_alone_fixes_the_weights_of_a_preset() -> None:
    state = torch.get_rng_state()
    first, _ = made(Halves(), "wide", seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    again, other = made(Halves(), "wide", seed=3)[0], made(Halves(), "wide", seed=4)[0]
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(first.state_dict()["layers.1.weight"], other.state_dict()["layers.1.weight"])
    # Training starts from the weights that the seed draws first.
    data = bright_halves(64)
    start = seeded(3, lambda: Halves().network("wide"))
    assert torch.equal(Halves().initial("wide", data, 3).state_dict()["layers.1.weight"], start.layers[1].weight)
    fit(start, data, Halves.configurations["wide"].training, seed=3, device="cpu", on_epoch=lambda *_: None)
    assert torch.equal(start.layers[1].weight, first.state_dict()["layers.1.weight"])


def test_a_network_may_take_something_from_the_training_images() -> None:
    centred, _ = made(CentredHalves(), "wide")
    plain, _ = made(Halves(), "wide")
    assert torch.equal(centred.mean, bright_halves(64).inputs.mean(0))
    assert not torch.equal(centred.layers[1].weight, plain.layers[1].weight)  # it was trained with that mean


def test_unknown_presets_and_too_few_images_are_refused() -> None:
    with pytest.raises(InvalidInput, match="narrow, wide"):
        Halves().network("broad")
    with pytest.raises(InvalidInput, match="narrow, wide"):
        made(Halves(), "broad")
    with pytest.raises(InvalidInput, match="too few"):
        Halves().train("narrow", bright_halves(1), seed=0, device="cpu", on_epoch=lambda *_: None)
