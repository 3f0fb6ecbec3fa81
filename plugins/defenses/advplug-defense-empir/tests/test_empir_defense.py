"""The vote, its scores, the members' training, and the presets of EMPIR."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product

import pytest
import torch
from advplug_defense_empir import EMPIR, FullPrecision, MixedPrecision, TrueDerivative, agreeing, votes
from advplug_defense_empir._training import each_member_alone
from torch import Tensor, nn

from advplug import load
from advplug.data import Images
from advplug.errors import InvalidInput, MissingWeights
from advplug.training import Batch

SHIPPING = [name for name, preset in EMPIR.presets.items() if preset.weights is not None]


def noise(preset: str, count: int) -> Images:
    shape = (1, 28, 28) if EMPIR.presets[preset].data == "mnist" else (3, 32, 32)
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def built(preset: str = "mnist") -> MixedPrecision:
    model = EMPIR().build(preset)
    assert isinstance(model, MixedPrecision)
    return model


def scores(answers: tuple[int, ...]) -> Tensor:
    """Probabilities (1, 3, 3) of members that give ``answers``."""
    return (4 * torch.nn.functional.one_hot(torch.tensor(answers), 3).double()).softmax(1)[None]


@pytest.mark.parametrize("answers", list(product(range(3), repeat=3)))
def test_two_votes_decide_and_otherwise_full_precision(answers: tuple[int, ...]) -> None:
    (likely, count), *_ = Counter(answers).most_common()
    expected = likely if count >= 2 else answers[2]
    probabilities = scores(answers)
    assert votes(probabilities).tolist() == [expected]
    agree = [number for number, answer in enumerate(answers) if answer == expected]
    torch.testing.assert_close(agreeing(probabilities), probabilities[:, agree].mean(1))


def test_the_largest_score_is_the_vote_even_where_scores_tie() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randint(0, 3, (5000, 3, 4), generator=generator).double() + 1
    probabilities /= probabilities.sum(2, keepdim=True)
    assert torch.equal(agreeing(probabilities).argmax(1), votes(probabilities))
    torch.testing.assert_close(agreeing(probabilities).sum(1), torch.ones(5000).double())


def test_the_scores_are_those_of_the_members() -> None:
    model, x = built(), noise("mnist", 6).inputs
    members = torch.stack([member(x).softmax(1) for member in model.members], 1)
    torch.testing.assert_close(model(x), agreeing(members))
    torch.testing.assert_close(model.surrogate(x), members.mean(1))
    assert model.capabilities.surrogate is not None
    assert model.outputs == "probabilities"


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_members_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match="two of low and one of full"):
        MixedPrecision([nn.Identity()] * count)


def test_without_the_straight_through_estimator_few_bits_have_no_gradient() -> None:
    model, x = built(), load("data:mnist")().load("shipped", 4).inputs.requires_grad_()
    plain = TrueDerivative(model)
    assert torch.equal(plain(x), model(x))
    for one, expected in ((model, [True, True, True]), (plain.vote, [False, False, True])):
        gradients = [torch.autograd.grad(member(x).square().sum(), x)[0] for member in one.members]
        assert [bool(gradient.flatten(1).any(1).all()) for gradient in gradients] == expected
        assert [bool(gradient.any()) for gradient in gradients] == expected


@pytest.mark.parametrize("data", ["mnist", "cifar10"])
def test_the_control_is_the_last_member(data: str) -> None:
    model, alone = built(data), EMPIR().build(f"{data}-single")
    assert isinstance(alone, FullPrecision)
    x = noise(data, 3).inputs
    assert torch.equal(alone(x), model.members[2](x))
    assert alone.outputs == "logits"
    assert alone.capabilities.surrogate is None


def test_every_member_learns_alone() -> None:
    model, data = built(), noise("mnist", 8)
    loss, logits = each_member_alone(model, Batch(data.inputs, data.labels, None, torch.Generator()))
    parts = []
    for member in model.members:
        weights = torch.full((8, 10), 0.1 / 9).scatter(1, data.labels[:, None], 0.9)
        parts.append(-(weights * member(data.inputs).log_softmax(1)).sum(1).mean())
        own = torch.autograd.grad(parts[-1], list(member.parameters()))
        joint = torch.autograd.grad(loss, list(member.parameters()), retain_graph=True)
        for expected, found in zip(own, joint, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(loss, sum(parts[1:], parts[0]))
    assert logits.shape == (8, 10)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = EMPIR.presets[preset].weights
    assert path is not None
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "empir"]
    assert (record["preset"], record["seed"]) == (preset.removesuffix("-single"), 0)
    assert record["epochs"] == EMPIR.configurations[preset].training.epochs
    assert record["clean_accuracy"] > (0.96 if "mnist" in preset else 0.5)


@pytest.mark.parametrize(("preset", "weights", "epochs"), [("paper", 116_704, 6), ("paper-mnist", 709_888, 15)])
def test_the_authors_networks_run_and_ship_no_weights(preset: str, weights: int, epochs: int) -> None:
    model, training = EMPIR().network(preset), EMPIR.configurations[preset].training
    assert isinstance(model, MixedPrecision)
    for member in model.members:
        assert sum(parameter.numel() for parameter in member.parameters()) == weights
        assert not any(name.endswith("bias") for name, _ in member.named_parameters())
    assert model(noise(preset, 2).inputs).shape == (2, 10)
    assert (training.epochs, training.batch_size, training.optimiser) == (epochs, 128, "adam")
    assert {training.learning_rate_at(step, 10) for step in range(10 * epochs)} == {1e-3}
    with pytest.raises(MissingWeights, match="train"):
        EMPIR().build(preset)


def test_training_is_deterministic() -> None:
    def train(seed: int) -> dict[str, Tensor]:
        model = EMPIR().train("mnist", noise("mnist", 20), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["members.0.0.weight"], other["members.0.0.weight"])
