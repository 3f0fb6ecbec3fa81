"""The presets of kWTA: networks, shipped weights, training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from advplug_defense_kwta._activation import KWinners
from advplug_defense_kwta._defense import KWTA
from advplug_defense_kwta._networks import ResNet18
from safetensors.torch import load_file, save_file

import advplug
from advplug.data import Images
from advplug.errors import CorruptWeights, InvalidInput, MissingWeights

SHIPPING = [name for name, preset in KWTA.presets.items() if preset.weights is not None]
CLEAN = {"mnist": 0.94, "mnist-relu": 0.97, "mnist-at": 0.94}


def some_images(preset: str, count: int = 40) -> Images:
    generator = torch.Generator().manual_seed(0)
    shape = (1, 28, 28) if KWTA.presets[preset].data == "mnist" else (3, 32, 32)
    labels = torch.arange(count) % 10
    return Images(torch.rand(count, *shape, generator=generator), labels, tuple("0123456789"), "noise")


def nothing(epoch: int, epochs: int, values: object) -> None:
    pass


def test_plugin_is_found() -> None:
    assert advplug.load("defense:kwta") is KWTA


def test_every_preset_is_configured() -> None:
    assert set(KWTA.presets) == set(KWTA.configurations)
    for name, preset in KWTA.presets.items():
        if preset.data == "mnist":
            assert (preset.train_split, preset.test_split) == ("train-disjoint", "shipped"), name


@pytest.mark.parametrize("preset", SHIPPING)
def test_networks(preset: str) -> None:
    model = KWTA().network(preset).eval()
    images = some_images(preset, 3)
    logits = model(images.inputs)
    assert logits.shape == (3, 10)
    assert torch.allclose(logits[1:2], model(images.inputs[1:2]), atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    assert any(isinstance(layer, KWinners) for layer in model.modules()) != preset.endswith("-relu")
    assert not model.rejects


@pytest.mark.parametrize("preset", ["paper", "paper-at"])
def test_the_authors_network(preset: str) -> None:
    model = KWTA().network(preset)
    assert isinstance(model, ResNet18)
    # 11,173,962 is the size of the ResNet-18 that the literature uses on CIFAR-10.
    assert sum(p.numel() for p in model.parameters()) == 11_173_962
    assert [layer.gamma for layer in model.modules() if isinstance(layer, KWinners)] == [0.1] * 16
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in model.modules()) == 1
    with pytest.raises(MissingWeights, match="train"):
        KWTA().build(preset)


def test_residual_network_runs() -> None:
    model = ResNet18(0.1, width=8)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = KWTA.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 2_000_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "kwta"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert record["epochs"] == KWTA.configurations[preset].training.epochs
    assert record["versions"]["torch"]
    # kWTA costs the small CIFAR-10 networks much of their accuracy; guessing would give 0.1.
    assert record["clean_accuracy"] > (0.97 if KWTA.presets[preset].data == "mnist" else 0.4)
    model = KWTA().build(preset)
    assert not model.training
    assert torch.equal(model.state_dict()["layers.0.weight"], load_file(path)["layers.0.weight"])


@pytest.mark.parametrize("preset", sorted(CLEAN))
def test_clean_accuracy(preset: str) -> None:
    digits = advplug.load("data:mnist")().load("shipped", 500)
    with torch.no_grad():
        accuracy = (KWTA().build(preset)(digits.inputs).argmax(1) == digits.labels).float().mean()
    assert accuracy >= CLEAN[preset]


def test_damaged_weights(tmp_path: Path) -> None:
    source = KWTA.presets["mnist"].weights
    assert source is not None
    content = source.read_bytes()
    path = tmp_path / "weights.safetensors"
    for damaged in (b"", b"no weights at all", content[: len(content) // 2], content[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(CorruptWeights, match=r"weights\.safetensors"):
            KWTA().build("mnist", weights=path)


@pytest.mark.parametrize("state", [{}, {"other": torch.zeros(3)}], ids=["empty", "other names"])
def test_weights_of_another_network(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    with pytest.raises(CorruptWeights, match="another network"):
        KWTA().build("mnist", weights=path)
    with pytest.raises(CorruptWeights, match="another network"):
        KWTA().build("mnist", weights=KWTA.presets["cifar10"].weights)


def test_absent_weights_and_presets(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="none"):
        KWTA().build("mnist", weights=tmp_path / "none.safetensors")
    for call in (KWTA().build, KWTA().network):
        with pytest.raises(InvalidInput, match="mnist-relu"):
            call("svhn")


@pytest.mark.parametrize("preset", ["mnist", "cifar10-at"])
def test_training_is_deterministic(preset: str) -> None:
    data = some_images(preset)
    seen: list[tuple[int, int]] = []

    def report(epoch: int, epochs: int, values: object) -> None:
        seen.append((epoch, epochs))

    state = torch.get_rng_state()
    first = KWTA().train(preset, data, seed=3, device="cpu", on_epoch=report)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    second = KWTA().train(preset, data, seed=3, device="cpu", on_epoch=nothing)
    other = KWTA().train(preset, data, seed=4, device="cpu", on_epoch=nothing)
    epochs = KWTA.configurations[preset].training.epochs
    assert seen == [(epoch, epochs) for epoch in range(1, epochs + 1)]
    for (name, mine), again in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(mine, again), name
    assert not torch.equal(first.state_dict()["layers.0.weight"], other.state_dict()["layers.0.weight"])


def test_too_few_images() -> None:
    with pytest.raises(InvalidInput, match="too few"):
        KWTA().train("mnist", some_images("mnist", 1), seed=0, device="cpu", on_epoch=nothing)
