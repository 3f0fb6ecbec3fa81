"""What transfers: the inner attack's results on the ensemble, judged by a model that was never asked before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_pgd import PGD
from advplug_attack_transfer import Transfer
from torch import Tensor, nn

from advplug import Images, PlainModel, ThreatModel, run
from advplug.engine.problem import make_problem
from advplug.errors import InvalidInput, UnknownPlugin
from advplug.families import Ensemble, MeanOverMembers
from advplug.losses import CrossEntropy
from advplug.testing.linear import linear_model

LINF = ThreatModel("linf", 0.2)
CLASSES, SIZE = 3, 20


def near(net: nn.Module, seed: int) -> nn.Module:
    """A linear model like ``net``, with noise of the same size on its weights."""
    other = linear_model(CLASSES, (SIZE,), seed=0)
    noise = torch.randn(CLASSES, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        other[1].weight.copy_(net[1].weight + noise)  # type: ignore[index,operator]
    return other


def case() -> tuple[nn.Module, Tensor, Tensor, list[nn.Module]]:
    """A model, inputs, labels, and three models like it."""
    net = linear_model(CLASSES, (SIZE,), seed=3)
    x = torch.rand(40, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return net, x, net(x).argmax(1).detach(), [near(net, seed) for seed in range(3)]


@pytest.mark.parametrize("mean", ["losses", "logits"])
def test_it_is_the_attack_on_the_ensemble_judged_by_the_model(mean: Any) -> None:
    net, x, y, models = case()
    ensemble = Ensemble(models, CLASSES)
    both = ensemble(x).argmax(1) == y
    x, y = x[both], y[both]
    loss = MeanOverMembers(CrossEntropy()) if mean == "losses" else CrossEntropy()
    direct = run(PGD(), ensemble, x, y, LINF, loss=loss, early_end=False)
    result = run(Transfer(models=models, mean=mean), net, x, y, LINF)
    found, fooled = direct.success, net(direct.adversarials).argmax(1) != y
    assert 0 < fooled.sum() < len(x)
    assert torch.equal(result.success[found], fooled[found])
    assert torch.equal(result.adversarials[fooled], direct.adversarials[fooled])


def test_three_models_transfer_better_than_one() -> None:
    net, x, y, models = case()
    alone = [run(Transfer(models=[model]), net, x, y, LINF).success.double().mean() for model in models]
    together = run(Transfer(models=models), net, x, y, LINF).success.double().mean()
    assert together > sum(alone) / 3


def test_an_iterate_that_only_just_succeeds_is_not_the_one_that_is_sent() -> None:
    """The search goes on after its first success: the later points are the ones that transfer."""
    net, x, y, models = case()
    attack = Transfer(models=models)
    sent = run(attack, net, x, y, LINF, early_end=True)
    ensemble = Ensemble(models, CLASSES)
    first = run(PGD(), ensemble, x, y, LINF, loss=MeanOverMembers(CrossEntropy()), early_end=True)
    fooled = (net(first.adversarials).argmax(1) != y) & first.correct
    assert sent.success.sum() > fooled.sum()


def test_one_query_for_each_sample() -> None:
    net, x, y, models = case()
    result = run(Transfer(models=models), net, x, y, LINF)
    assert result.forwards.tolist() == [1] * len(x)
    assert not result.backwards.any()


def test_targets_and_budgets_belong_to_the_samples() -> None:
    net, x, y, models = case()
    epsilon, targets = torch.linspace(0.02, 0.6, len(x), dtype=torch.float64), (y + 1) % CLASSES
    threat = ThreatModel("linf", 0.6, targeted=True)
    result = run(Transfer(models=models), net, x, y, threat, targets=targets, epsilon=epsilon)
    assert result.success[20:].double().mean() > 0.5
    assert (net(result.adversarials).argmax(1) == targets)[result.success].all()
    assert (result.distance <= epsilon * (1 + 1e-6))[result.success].all()


def test_the_models_come_back_as_they_were() -> None:
    net, x, y, models = case()
    models[0].train()
    models[1][1].weight.requires_grad_(False)  # type: ignore[index,operator,union-attr]
    before = [[value.clone() for value in model.state_dict().values()] for model in models]
    run(Transfer(models=models), net, x, y, LINF)
    assert models[0].training
    assert [p.requires_grad for model in models for p in model.parameters()] == [True, True, False, True, True, True]
    for model, values in zip(models, before, strict=True):
        assert all(torch.equal(*pair) for pair in zip(model.state_dict().values(), values, strict=True))


def test_batch_normalisation_of_a_model_in_training_mode_does_not_mix_samples() -> None:
    net, x, y, _ = case()
    normed = nn.Sequential(nn.Linear(SIZE, CLASSES), nn.BatchNorm1d(CLASSES)).double().train()
    together = run(Transfer(models=[normed]), net, x, y, LINF)
    alone = run(Transfer(models=[normed]), net, x[:1], y[:1], LINF)
    torch.testing.assert_close(alone.adversarials[0], together.adversarials[0])


def test_models_of_another_precision_are_converted() -> None:
    net, x, y, models = case()
    single = [near(net, seed).float() for seed in range(3)]
    ours, theirs = (run(Transfer(models=each), net, x, y, LINF).success for each in (models, single))
    assert (ours == theirs).double().mean() >= 0.95


def test_given_models_need_no_images_and_trained_ones_do() -> None:
    net, x, y, models = case()
    assert not Transfer(models=models).needs_auxiliary
    with pytest.raises(InvalidInput, match="pass auxiliary"):
        run(Transfer(), net, x, y, LINF)


def test_trained_members_differ_and_learn_the_labels() -> None:
    net, x, y, _ = case()
    own = torch.rand(300, SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    problem = make_problem(net, x, y, LINF, auxiliary=Images(own, net(own).argmax(1)))
    attack = Transfer(members=2)
    ensemble, again = (attack.own_model(problem, problem.gateway()) for _ in range(2))
    logits = ensemble.member_logits(x)
    assert (logits.argmax(2) == y[:, None]).double().mean() > 0.8
    assert not torch.equal(logits[:, 0], logits[:, 1])
    assert torch.equal(logits, again.member_logits(x))
    assert not any(parameter.requires_grad for parameter in ensemble.parameters())


class Probabilities(PlainModel):
    outputs = "probabilities"


@pytest.mark.parametrize(
    ("models", "remedy"),
    [
        ([linear_model(4, (SIZE,))], "give one with logits of 3 classes"),
        ([Probabilities(linear_model(CLASSES, (SIZE,)), CLASSES)], "gives probabilities"),
        (
            [PlainModel(linear_model(CLASSES, (SIZE,)), CLASSES, (-1.0, 1.0))],
            r"for inputs in \(-1.0, 1.0\): give",
        ),
        ([linear_model(CLASSES, (SIZE + 1,))], "does not take inputs"),
        (["adversarial-training"], "write DEFENSE:PRESET"),
    ],
)
def test_models_that_do_not_fit_are_refused(models: list[nn.Module | str], remedy: str) -> None:
    net, x, y, _ = case()
    with pytest.raises(InvalidInput, match=remedy):
        run(Transfer(models=models), net, x, y, LINF)


def test_an_unknown_defense_is_named() -> None:
    net, x, y, _ = case()
    with pytest.raises(UnknownPlugin, match="adversarial-trainign"):
        run(Transfer(models="adversarial-trainign:mnist"), net, x, y, LINF)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"models": []}, "models is empty"),
        ({"mean": "votes"}, "choose one of losses, logits"),
        ({"members": 0}, "at least 1"),
        ({"updates": 0}, "at least 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"learning_rate": -1.0}, "positive"),
        ({"attack": PGD(), "settings": {}}, "given by name"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        Transfer(**options)
