"""The pipeline, its control, its training and its presets."""

from __future__ import annotations

import json

import pytest
import torch
from advplug_defense_sparse_fourier import Recovered, SparseFourier, Unrecovered
from advplug_defense_sparse_fourier._model import on_compressed

from advplug import load
from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.training import Batch

SHIPPING = [name for name, preset in SparseFourier.presets.items() if preset.weights is not None]


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if SparseFourier.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


@pytest.mark.parametrize("preset", [name for name in SHIPPING if not name.endswith("-base")])
def test_the_network_sees_recovered_images_and_the_control_whole_ones(preset: str) -> None:
    model, alone, x = SparseFourier().build(preset), SparseFourier().build(f"{preset}-base"), noise(preset, 3).inputs
    assert isinstance(model, Recovered)
    assert isinstance(alone, Unrecovered)
    with torch.no_grad():
        assert torch.equal(model(x), alone(model.recovery(x)))
        assert not torch.equal(model(x), alone(x))


def test_training_sees_compressed_images() -> None:
    model, data = SparseFourier().build("mnist"), noise("mnist", 6)
    assert isinstance(model, Recovered)
    loss, logits = on_compressed(model, Batch(data.inputs, data.labels, None, torch.Generator()))
    assert torch.equal(logits, model.base(model.recovery.compressed(data.inputs)))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, data.labels))


def test_of_fifteen_wrong_pixels_of_a_digit_the_recovery_keeps_less_than_the_compression() -> None:
    digits = load("data:mnist")().load("shipped", 200)
    clean = digits.inputs
    places = torch.rand(clean.flatten(1).shape, generator=torch.Generator().manual_seed(0)).argsort(1)[:, :15]
    spoilt = clean.flatten(1).scatter(1, places, 1.0).view_as(clean)
    model = SparseFourier().build("mnist")
    assert isinstance(model, Recovered)
    with torch.no_grad():
        assert (model(spoilt).argmax(1) == digits.labels).float().mean() >= 0.9
        kept, compressed = (
            (one(spoilt) - one(clean)).flatten(1).norm(dim=1).mean()
            for one in (model.recovery, model.recovery.compressed)
        )
    assert kept < compressed


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = SparseFourier.presets[preset].weights
    assert path is not None
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "sparse-fourier"]
    assert (record["preset"], record["seed"]) == (preset.removesuffix("-base"), 0)


def test_the_paper_preset_has_the_published_numbers_and_ships_no_weights() -> None:
    model = SparseFourier().network("paper")
    assert isinstance(model, Recovered)
    assert model.recovery.sparsity == (40, 20, 100)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_199_882
    assert SparseFourier.configurations["paper"].training.epochs == 20
    with pytest.raises(MissingWeights, match="train"):
        SparseFourier().build("paper")


@pytest.mark.parametrize("preset", ["mnist", "paper"])
def test_training_is_deterministic(preset: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        model = SparseFourier().train(preset, noise(preset, 8), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return torch.cat([value.flatten() for value in model.state_dict().values()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
