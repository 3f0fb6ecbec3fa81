"""The presets of logit pairing: losses, networks, shipped weights, and what they are worth against one run of PGD."""

from __future__ import annotations

import json

import pytest
import torch
from advplug_defense_logit_pairing._defense import LogitPairing
from advplug_defense_logit_pairing._losses import MixedBatch, Penalised, clean_pairing, squeezing

import advplug
from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.training import cross_entropy

SHIPPING = [name for name, preset in LogitPairing.presets.items() if preset.weights is not None]
SUFFIXES = ("", "-lsq", "-alp", "-at50", "-at100")


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if LogitPairing.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def test_presets_are_the_published_ones() -> None:
    expected = {f"{base}{suffix}" for base in ("mnist", "cifar10", "paper") for suffix in SUFFIXES}
    assert set(LogitPairing.presets) == set(LogitPairing.configurations) == expected
    assert set(SHIPPING) == {name for name in expected if not name.startswith("paper")}


@pytest.mark.parametrize(
    ("base", "pairing", "adversarial", "noise_size", "epsilon"),
    [("mnist", 0.5, 1.0, 0.5, 0.3), ("cifar10", 0.25, 0.5, 0.06, 16 / 255), ("paper", 0.5, 1.0, 0.5, 0.3)],
)
def test_losses_have_the_published_weights(
    base: str, pairing: float, adversarial: float, noise_size: float, epsilon: float
) -> None:
    recipes = {suffix: LogitPairing.configurations[f"{base}{suffix}"].training for suffix in SUFFIXES}
    assert recipes[""].loss == Penalised(clean_pairing, weight=pairing, noise=noise_size)
    assert recipes["-lsq"].loss == Penalised(squeezing, weight=pairing, noise=noise_size)
    assert recipes["-alp"].loss == MixedBatch(clean=0.5, adversarial=0.5, weight=adversarial)
    assert recipes["-at50"].loss == MixedBatch(clean=0.5, adversarial=0.5, weight=0)
    assert recipes["-at100"].loss is cross_entropy
    for suffix, recipe in recipes.items():
        assert LogitPairing.presets[f"{base}{suffix}"].threat.epsilon == pytest.approx(epsilon)
        if suffix in {"", "-lsq"}:
            assert recipe.adversary is None
        else:
            assert recipe.adversary is not None
            assert recipe.adversary.epsilon == pytest.approx(epsilon)


@pytest.mark.parametrize("preset", LogitPairing.presets)
def test_networks(preset: str) -> None:
    model = LogitPairing().network(preset).eval()
    assert model(noise(preset, 3).inputs).shape == (3, 10)
    assert not model.rejects
    if preset.startswith("paper"):
        # 320 + 18,496 + 3,212,288 + 10,250: the layers of the published network.
        assert sum(p.numel() for p in model.parameters()) == 3_241_354
        with pytest.raises(MissingWeights, match="train"):
            LogitPairing().build(preset)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = LogitPairing.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 600_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "logit-pairing"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert record["epochs"] == LogitPairing.configurations[preset].training.epochs
    assert not LogitPairing().build(preset).training


@pytest.mark.parametrize("preset", [name for name in SHIPPING if name.startswith("mnist")])
def test_digits_are_recognised(preset: str) -> None:
    digits = advplug.load("data:mnist")().load("shipped", 300)
    with torch.no_grad():
        found = LogitPairing().build(preset)(digits.inputs).argmax(1)
    assert (found == digits.labels).float().mean() >= 0.94


def test_squeezed_and_paired_logits_are_small() -> None:
    digits = advplug.load("data:mnist")().load("shipped", 300)
    with torch.no_grad():
        spread = {name: LogitPairing().build(name)(digits.inputs).std().item() for name in ("mnist", "mnist-lsq")}
        trained = LogitPairing().build("mnist-at100")(digits.inputs).std().item()
    assert max(spread.values()) < trained


@pytest.mark.parametrize("preset", ["mnist", "mnist-lsq", "mnist-alp"])
def test_training_is_deterministic(preset: str) -> None:
    def train(seed: int) -> dict[str, torch.Tensor]:
        model = LogitPairing().train(preset, noise(preset, 40), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])
