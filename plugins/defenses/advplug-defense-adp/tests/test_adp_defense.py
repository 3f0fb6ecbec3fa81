"""The ensemble, its training loss in closed form, and the presets of ADP."""

from __future__ import annotations

import json
import math

import pytest
import torch
from advplug_defense_adp import ADP, MeanProbability, diversity
from advplug_defense_adp._defense import JUDGED
from advplug_defense_adp._training import RIDGE, DiversityPromoting
from torch import Tensor

from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.training import Batch

SHIPPING = [name for name, preset in ADP.presets.items() if preset.weights is not None]


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if ADP.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def built(preset: str = "mnist") -> MeanProbability:
    model = ADP().build(preset)
    assert isinstance(model, MeanProbability)
    return model


def test_the_answer_is_the_mean_probability_of_the_members() -> None:
    model, x = built(), noise("mnist", 5).inputs
    members = torch.stack([member(x - model.mean).softmax(1) for member in model.members], 1)
    torch.testing.assert_close(model(x), members.mean(1))
    assert model.outputs == "probabilities"
    assert len(model.members) == 3


def test_members_that_agree_have_no_diversity_and_orthogonal_ones_have_most() -> None:
    """The determinant of equal rows is that of ones and the ridge; of orthogonal ones it is nearly 1."""
    labels = torch.tensor([0])
    same = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log().expand(1, 3, 4)
    expected = math.log((3 + RIDGE) * RIDGE**2)
    assert diversity(same, labels).item() == pytest.approx(expected, rel=1e-4)
    apart = torch.full((1, 3, 4), 1e-9, dtype=torch.float64)
    for member in range(3):
        apart[0, member, member + 1] = 0.5
    assert diversity(apart.log(), labels).item() == pytest.approx(0, abs=1e-5)


def test_diversity_is_the_formula_and_survives_certain_members() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 3, 10, generator=generator).double(), torch.arange(6)
    found = diversity(logits.log_softmax(2), labels)
    for number in range(6):
        probabilities = logits[number].softmax(1)
        others = probabilities[:, torch.arange(10) != labels[number]]
        rows = others / others.norm(dim=1, keepdim=True)
        expected = torch.logdet(rows @ rows.T + RIDGE * torch.eye(3).double())
        torch.testing.assert_close(found[number], expected)
    certain = (1000 * torch.nn.functional.one_hot(labels, 10)[:, None] + logits).requires_grad_()
    value = diversity(certain.log_softmax(2), labels)
    torch.testing.assert_close(value.detach(), found)
    value.sum().backward()
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_the_loss_is_the_sum_of_its_parts() -> None:
    model, data = built(), noise("mnist", 8)
    batch = Batch(data.inputs, data.labels, None, torch.Generator())
    plain, answer = DiversityPromoting(0, 0)(model, batch)
    logits = model.member_logits(data.inputs)
    entropies = [torch.nn.functional.cross_entropy(member, data.labels) for member in logits.unbind(1)]
    torch.testing.assert_close(plain, sum(entropies[1:], entropies[0]))
    mean = model(data.inputs)
    torch.testing.assert_close(answer.exp(), mean)
    whole, _ = DiversityPromoting(2, 0.5)(model, batch)
    entropy = -(mean * mean.log()).sum(1).mean()
    parts = plain - 2 * entropy - 0.5 * diversity(logits.log_softmax(2), data.labels).mean()
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = ADP.presets[preset].weights
    assert path is not None
    assert path.stat().st_size < 2e6
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "adp"]
    assert (record["preset"], record["seed"]) == (preset, 0)
    assert record["epochs"] == ADP.configurations[preset].training.epochs
    assert record["metrics"]["accuracy"] > (0.98 if "mnist" in preset else 0.75)


def test_members_trained_to_differ_do_and_plain_ones_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, 1, 28, 28, generator=generator)
    labels = torch.zeros(20, dtype=torch.int64)
    found = {name: diversity(built(name).member_logits(x).log_softmax(2), labels).mean() for name in SHIPPING[:2]}
    assert found["mnist"] > found["mnist-plain"]


def test_digits_that_judge_are_not_trained_on() -> None:
    numbered = torch.arange(3.0 * JUDGED).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    images = Images(numbered, torch.zeros(3 * JUDGED, dtype=torch.int64), tuple("0123456789"), "numbers")
    assert ADP().for_training("mnist", images).inputs[0, 0, 0, 0] == JUDGED
    assert len(ADP().for_training("cifar10", images)) == 3 * JUDGED


def test_the_authors_networks_run_and_ship_no_weights() -> None:
    model, training = ADP().network("paper"), ADP.configurations["paper"].training
    assert isinstance(model, MeanProbability)
    for member in model.members:
        assert sum(layer.numel() for name, layer in member.named_parameters() if layer.ndim == 4) == 270_256
    assert model(noise("paper", 2).inputs).shape == (2, 10)
    assert (training.epochs, training.batch_size, training.optimiser) == (200, 64, "adam")
    rates = [training.learning_rate_at(epoch * 10, 10) for epoch in (0, 99, 100, 149, 150)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])
    with pytest.raises(MissingWeights, match="train"):
        ADP().build("paper")


def test_training_is_deterministic_and_subtracts_the_mean_of_its_images() -> None:
    def train(seed: int) -> dict[str, Tensor]:
        model = ADP().train("mnist", noise("mnist", 12), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["members.0.0.weight"], other["members.0.0.weight"])
    torch.testing.assert_close(first["mean"], noise("mnist", 12).inputs.mean(0))
