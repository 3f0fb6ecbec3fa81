"""The presets of mixup inference: networks, pools, shipped weights, training."""

from __future__ import annotations

import json

import pytest
import torch
from advplug_defense_mixup_inference._defense import POOL, MixupInference
from advplug_defense_mixup_inference._model import Mixing, Unmixed
from advplug_defense_mixup_inference._training import interpolated_adversarial, mixup
from torch import nn
from torch.nn import functional as F

import advplug
from advplug.data import Images
from advplug.errors import InvalidInput, MissingWeights
from advplug.training import Batch

DEFENSE = MixupInference()
SHIPPING = [name for name, preset in MixupInference.presets.items() if preset.weights is not None]
DIGITS = [name for name in SHIPPING if name.startswith("mnist")]


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if MixupInference.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def nothing(epoch: int, epochs: int, values: object) -> None:
    pass


def test_plugin_is_found() -> None:
    assert advplug.load("defense:mixup-inference") is MixupInference
    assert set(MixupInference.presets) == set(MixupInference.configurations)


@pytest.mark.parametrize("preset", SHIPPING)
def test_every_mixing_preset_has_its_control(preset: str) -> None:
    alone = preset.removesuffix("-base") + "-base"
    assert MixupInference.presets[alone].weights == MixupInference.presets[preset].weights
    assert MixupInference.presets[alone].threat == MixupInference.presets[preset].threat
    assert isinstance(DEFENSE.network(alone), Unmixed)
    assert isinstance(DEFENSE.network(preset), Unmixed if preset == alone else Mixing)


def test_the_authors_network_runs() -> None:
    model = DEFENSE.network("paper").eval()
    assert isinstance(model, Mixing)
    # 23,520,842 is the size of the ResNet-50 that the literature uses on CIFAR-10.
    assert sum(p.numel() for p in model.parameters()) == 23_520_842
    assert (model.share, model.draws) == (0.6, 15)
    images = noise("paper", 10)
    model.admit(images)
    model.draws = 1  # fifteen take seconds
    with torch.no_grad():
        assert model(images.inputs[:1]).shape == (1, 10)
    with pytest.raises(MissingWeights, match="train"):
        DEFENSE.build("paper")


@pytest.mark.parametrize("preset", [name for name in SHIPPING if not name.endswith("-base")])
def test_shipped_weights(preset: str) -> None:
    path = MixupInference.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 600_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "mixup-inference"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert record["epochs"] == MixupInference.configurations[preset].training.epochs
    assert record["clean_accuracy"] > (0.9 if preset in DIGITS else 0.35)


@pytest.mark.parametrize("preset", DIGITS)
def test_clean_accuracy(preset: str) -> None:
    digits = advplug.load("data:mnist")().load("shipped", 200)
    model = DEFENSE.build(preset)
    assert not model.training
    torch.manual_seed(0)
    with torch.no_grad():
        assert (model(digits.inputs).argmax(1) == digits.labels).float().mean() >= 0.9


def test_the_pool_of_the_digits_is_not_judged() -> None:
    shipped = advplug.load("data:mnist")().load("shipped")
    pool = DEFENSE.pool("mnist")
    assert len(pool) == POOL
    assert torch.equal(pool.inputs, shipped.inputs[8000:9000])
    assert int(torch.bincount(pool.labels).min()) > 50


def test_mixup_is_the_expected_interpolation() -> None:
    """Cross-entropy is linear in the label: the loss of a mixture is that against the mixed one-hot labels."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    images = noise("mnist", 12)
    batch = Batch(images.inputs, images.labels, None, torch.Generator().manual_seed(5))
    loss, logits = mixup(net, batch)
    generator = torch.Generator().manual_seed(5)
    order, weight = torch.randperm(12, generator=generator), torch.rand(12, generator=generator)
    hot = F.one_hot(images.labels, 10).float()
    share = weight.view(-1, 1, 1, 1)
    mixed = net(share * images.inputs + (1 - share) * images.inputs[order])
    target = weight[:, None] * hot + (1 - weight[:, None]) * hot[order]
    assert loss.item() == pytest.approx(-(target * mixed.log_softmax(1)).sum(1).mean().item(), rel=1e-5)
    assert torch.allclose(logits, mixed)


def test_interpolated_adversarial_training_halves_both_losses() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    images = noise("mnist", 12)
    attacked = (images.inputs + 0.2).clamp(0, 1)

    def batch(x: torch.Tensor, adversarial: torch.Tensor | None, generator: torch.Generator) -> Batch:
        return Batch(x, images.labels, adversarial, generator)

    both, _ = interpolated_adversarial(net, batch(images.inputs, attacked, torch.Generator().manual_seed(2)))
    generator = torch.Generator().manual_seed(2)
    parts = [mixup(net, batch(x, None, generator))[0] for x in (attacked, images.inputs)]
    assert both.item() == pytest.approx((parts[0] + parts[1]).item() / 2, rel=1e-5)


@pytest.mark.parametrize("preset", ["mnist", "mnist-base"])
def test_training_is_deterministic(preset: str) -> None:
    data = noise(preset, 40)
    first, again, other = (DEFENSE.train(preset, data, seed=seed, device="cpu", on_epoch=nothing) for seed in (3, 3, 4))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert any(not torch.equal(value, other.state_dict()[name]) for name, value in first.state_dict().items())
    assert bool(first(data.inputs[:2]).isfinite().all())  # it has a pool


def test_a_pool_needs_every_class() -> None:
    data = noise("mnist", 40)
    with pytest.raises(InvalidInput, match="each of 10 classes"):
        DEFENSE.train("mnist", data[data.labels < 9], seed=0, device="cpu", on_epoch=nothing)


def test_unknown_presets_are_refused() -> None:
    for call in (DEFENSE.build, DEFENSE.network):
        with pytest.raises(InvalidInput, match="cifar10-iat"):
            call("svhn")
