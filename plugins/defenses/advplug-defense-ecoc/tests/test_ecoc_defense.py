"""The presets of ECOC: ensembles, shipped weights, training."""

from __future__ import annotations

import json

import pytest
import torch
from advplug_defense_ecoc._defense import ECOC
from advplug_defense_ecoc._model import EnsembleOfBits
from advplug_defense_ecoc._training import Hinge

import advplug
from advplug.data import Images
from advplug.errors import InvalidInput, MissingWeights
from advplug.training import Batch

SHIPPING = [name for name, preset in ECOC.presets.items() if preset.weights is not None]
CLEAN = {"mnist": 0.95, "cifar10": 0.4}


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if ECOC.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def nothing(epoch: int, epochs: int, values: object) -> None:
    pass


def test_plugin_is_found() -> None:
    assert advplug.load("defense:ecoc") is ECOC
    assert set(ECOC.presets) == set(ECOC.configurations)


# The layers of the authors' networks: trunks, branches and heads of 4 chunks of 4 bits.
@pytest.mark.parametrize(("preset", "weights"), [("paper", 2_313_104), ("paper-mnist", 401_168)])
def test_the_authors_ensemble_runs(preset: str, weights: int) -> None:
    model = ECOC().network(preset).eval()
    assert sum(p.numel() for p in model.parameters()) == weights
    with torch.no_grad():
        logits = model(noise(preset, 2).inputs)
    assert logits.shape == (2, 16)
    with pytest.raises(MissingWeights, match="train"):
        ECOC().build(preset)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = ECOC.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 600_000
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "ecoc"]
    assert (record["preset"], record["seed"]) == (preset.removesuffix("-unsaturated"), 0)
    assert record["epochs"] == ECOC.configurations[preset].training.epochs
    assert record["clean_accuracy"] > CLEAN[preset.partition("-")[0]]
    model = ECOC().build(preset)
    assert isinstance(model, EnsembleOfBits)
    assert not model.training


def test_clean_accuracy() -> None:
    digits = advplug.load("data:mnist")().load("shipped", 500)
    with torch.no_grad():
        answers = ECOC().build("mnist")(digits.inputs).argmax(1)
    assert (answers == digits.labels).float().mean() >= CLEAN["mnist"]
    assert int(answers.max()) < 10  # on clean digits no answer is a class that does not exist


@pytest.mark.parametrize("preset", SHIPPING)
def test_hinge_of_every_bit(preset: str) -> None:
    model, images = ECOC().network(preset).eval(), noise(preset, 5)
    assert isinstance(model, EnsembleOfBits)
    batch = Batch(images.inputs, images.labels, None, torch.Generator().manual_seed(0))
    loss, logits = Hinge(noise=0.0, blend=0.0)(model, batch)
    bits = model.bits(images.inputs).detach()
    expected = [
        max(0.0, 1 - float(model.code[label, place]) * float(row[place]))
        for label, row in zip(images.labels.tolist(), bits, strict=True)
        for place in range(16)
    ]
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    assert torch.allclose(logits, model(images.inputs), atol=1e-5)


def test_disturbed_images() -> None:
    """Noise of the given size, and a share of another image, in the box."""
    flat = torch.full((64, 1, 28, 28), 0.5)
    noisy = Hinge(noise=0.05, blend=0.0).disturbed(flat, torch.Generator().manual_seed(0))
    assert float((noisy - flat).std()) == pytest.approx(0.05, rel=0.02)
    mixed = flat.clone()
    mixed[32:] = 1.0
    blended = Hinge(noise=0.0, blend=0.2).disturbed(mixed, torch.Generator().manual_seed(0))
    assert bool(((blended >= 0) & (blended <= 1)).all())
    shift = (blended - mixed).abs().amax((1, 2, 3))
    assert float(shift.max()) == pytest.approx(0.2 * 0.5, abs=1e-4)  # all that is not its own is grey or white
    own = Hinge(noise=0.0, blend=0.2).disturbed(mixed, torch.Generator().manual_seed(0))
    assert torch.equal(own, blended)


def test_training_is_deterministic() -> None:
    data = noise("mnist", 24)
    state = torch.get_rng_state()
    first, again, other = (
        ECOC().train("mnist", data, seed=seed, device="cpu", on_epoch=nothing).state_dict() for seed in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_unknown_presets_are_refused() -> None:
    for call in (ECOC().build, ECOC().network):
        with pytest.raises(InvalidInput, match="paper-mnist"):
            call("svhn")
